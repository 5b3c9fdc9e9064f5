"""Settings, Quality: admins read what was rated, make cases of it, and nothing else of anybody's conversations."""

import re
from datetime import timedelta
from typing import Any

import pytest
import yaml
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from apps.chat.models import Conversation, EvalCase, EvalReport, Message
from apps.tenants.context import tenant_context
from apps.tenants.deeds import plain_sentence
from apps.tenants.models import AuditEvent, Membership, Tenant
from tests.conftest import Cast, signed_in

from .rated import answered, read_handbook

QUALITY = "/t/acme/settings/quality/"
PAGES = ["", "cases/", "trend/", "measuring/"]


def made(response: HttpResponse) -> EvalCase:
    """The case that a click leads to."""
    match = re.fullmatch(rf"{QUALITY}cases/([0-9a-f-]{{36}})/", response.url)
    assert match, response.url
    return EvalCase.unscoped.get(pk=match[1])


def make(cast: Cast, message: Message, client: Client | None = None) -> EvalCase:
    response = (client or signed_in(cast.alice)).post(f"{QUALITY}messages/{message.pk}/case/")
    with tenant_context(cast.acme):
        return made(response)


def written(case: EvalCase, deed: str, **fields: Any) -> dict[str, Any]:
    first = {"question": case.question, "kind": "answers", "texts": "", "cites": "", "expected": ""}
    return first | fields | {"deed": deed}


def cases(tenant: Tenant) -> list[tuple[Any, ...]]:
    with tenant_context(tenant):
        return list(EvalCase.objects.values_list("state", "question", "contains", "cites", "refuses"))


def deeds(tenant: Tenant) -> list[str]:
    with tenant_context(tenant):
        found = AuditEvent.objects.filter(action__startswith="eval_case").order_by("at")
        return [plain_sentence(event) for event in found]


@pytest.mark.parametrize("page", PAGES)
def test_the_pages_are_for_owners_and_admins(cast: Cast, page: str) -> None:
    assert signed_in(cast.alice).get(QUALITY + page).status_code == 200
    assert signed_in(cast.bob).get(QUALITY + page).status_code == 403
    assert signed_in(cast.charlie).get(QUALITY + page).status_code == 404
    assert Client().get(QUALITY + page).status_code == 302


@pytest.mark.pool_and_silo
def test_what_was_rated_is_shown_and_nothing_else(cast: Cast) -> None:
    answered(cast.acme, cast.bob, question="Bobs secret?", text="An unrated answer.")
    answered(cast.acme, cast.bob, question="Bobs wrong one?", text="A bad answer.", rating=-1, comment="No!")
    answered(cast.acme, cast.alice, question="Alices good one?", text="A good answer.", rating=1)
    answered(cast.globex, cast.charlie, question="Globex’ own?", text="Of Globex.", rating=-1)
    client = signed_in(cast.alice)

    everything, bad, commented = (
        client.get(QUALITY + query).content.decode() for query in ("", "?show=up", "?show=commented")
    )

    assert "Bobs wrong one?" in everything and "A bad answer." in everything and "Bob," in everything
    assert "gpt-5-mini" in everything and "answer v1" in everything and "$0.0021" in everything
    assert "secret" not in everything and "unrated" not in everything and "Globex" not in everything
    assert "Alices good one?" in bad and "Bobs wrong one?" not in bad
    assert "Bobs wrong one?" in commented and "Alices good one?" not in commented


@pytest.mark.pool_and_silo
def test_a_case_goes_from_a_click_to_a_suite(cast: Cast, media: Any) -> None:
    read_handbook(cast.acme)
    question = "Does Bob get 28 days? Ask bob@acme.example."
    message = answered(cast.acme, cast.bob, question=question, text="Bob gets 28 days [1].", rating=-1)
    client = signed_in(cast.alice)

    case = make(cast, message, client)
    again = make(cast, message, client)
    page = client.get(f"{QUALITY}cases/{case.pk}/").content.decode()
    empty = client.post(f"{QUALITY}cases/{case.pk}/", written(case, "approve"))
    unknown = client.post(f"{QUALITY}cases/{case.pk}/", written(case, "approve", cites="nothing.md"))
    texts = "28 days\n28 days\n\n a  year "
    edited = written(case, "approve", question="How many days?", texts=texts, cites="handbook.md")
    client.post(f"{QUALITY}cases/{case.pk}/", edited)
    export = client.post(f"{QUALITY}cases/export/")

    assert again == case and case.state == "draft"
    assert (case.question, case.answer) == ("Does [name] get 28 days? Ask [e-mail].", "[name] gets 28 days [1].")
    (source,) = case.sources
    assert source["file"] == "handbook.md" and "Ask [name] at [e-mail] or [phone]." in source["quote"]
    assert "by [name]" in source["heading"]
    assert (case.contains, case.cites, case.expected) == ([], [], "")  # of a bad answer nothing is taken over
    assert 'Does <mark class="redacted">[name]</mark> get' in page and "bob@" not in page
    assert "Write at least one text" in empty.content.decode()
    assert "no document of the name “nothing.md”" in unknown.content.decode()
    assert cases(cast.acme) == [("approved", "How many days?", ["28 days", "a year"], ["handbook.md"], False)]
    suite = yaml.safe_load(export.content)
    assert suite["prompt"] == "answer" and suite["defaults"] == {"workspace": "acme"}
    assert suite["tests"][0]["vars"] == {"question": "How many days?"}
    assert suite["tests"][0]["assert"] == [
        {"type": "icontains", "value": "28 days"},
        {"type": "icontains", "value": "a year"},
        {"type": "cites", "value": "handbook.md"},
    ]
    assert deeds(cast.acme) == ["made an eval case of an answer", "approved an eval case", "exported 1 eval cases"]
    with tenant_context(cast.acme):
        stored = EvalCase.objects.get()
    assert (stored.made_by, stored.reviewed_by) == (cast.alice, cast.alice) and stored.reviewed_at


@pytest.mark.pool_and_silo
def test_a_case_outlives_the_conversation_it_is_of_and_loses_its_pointer(cast: Cast) -> None:
    message = answered(cast.acme, cast.bob, rating=1)
    case = make(cast, message)

    signed_in(cast.bob).post(f"/t/acme/chat/{message.conversation_id}/delete/")

    with tenant_context(cast.acme):
        assert not Conversation.objects.exists()
        stored = EvalCase.objects.get(pk=case.pk)
    assert (stored.message, stored.question, stored.expected) == (None, "How many days?", "28 days.")
    assert signed_in(cast.alice).get(f"{QUALITY}cases/{case.pk}/").status_code == 200


def test_a_case_that_refuses_is_rejected_put_right_and_removed(cast: Cast) -> None:
    client = signed_in(cast.alice)
    case = make(cast, answered(cast.acme, cast.alice), client)  # one's own needs no rating
    path = f"{QUALITY}cases/{case.pk}/"

    client.post(path, written(case, "save", kind="refuses", texts="28 days"))
    client.post(path, {"deed": "reject"})
    rejected = cases(cast.acme)
    client.post(path, written(case, "approve", kind="refuses"))
    nothing_to_say = client.post(path, written(case, "save", question=""))
    approved = cases(cast.acme)
    client.post(f"{path}remove/")

    assert rejected == [("rejected", "How many days?", [], [], True)]
    assert approved == [("approved", "How many days?", [], [], True)]
    assert "This field is required." in nothing_to_say.content.decode()
    assert cases(cast.acme) == []
    assert deeds(cast.acme)[1:] == [
        "changed an eval case",
        "rejected an eval case",
        "approved an eval case",
        "removed an eval case",
    ]


def test_nobody_makes_a_case_of_what_was_not_shared_with_them(cast: Cast) -> None:
    with tenant_context(cast.acme):
        Membership.objects.filter(user=cast.bob).update(role=Membership.Role.ADMIN)
    alices, bobs = answered(cast.acme, cast.alice), answered(cast.acme, cast.bob)
    globex = answered(cast.globex, cast.charlie, rating=1)
    alice, bob, charlie = (signed_in(user) for user in (cast.alice, cast.bob, cast.charlie))
    case = make(cast, alices)

    assert alice.post(f"{QUALITY}messages/{bobs.pk}/case/").status_code == 404
    assert bob.post(f"{QUALITY}messages/{alices.pk}/case/").status_code == 404
    assert alice.post(f"{QUALITY}messages/{globex.pk}/case/").status_code == 404
    assert alice.post(f"{QUALITY}runs/{bobs.run_id}/case/").url == f"{QUALITY}cases/"
    for deed in ("case/", "remove/"):
        assert charlie.post(f"/t/globex/settings/quality/cases/{case.pk}/{deed}").status_code == 404
    assert charlie.get(f"/t/globex/settings/quality/cases/{case.pk}/").status_code == 404
    assert charlie.get(f"{QUALITY}cases/{case.pk}/").status_code == 404
    assert len(cases(cast.acme)) == 1 and cases(cast.globex) == []


def test_a_run_leads_to_its_case(cast: Cast) -> None:
    message = answered(cast.acme, cast.bob, rating=-1)
    unrated = answered(cast.acme, cast.bob)
    alice = signed_in(cast.alice)

    runs = alice.get("/t/acme/runs/").content.decode()
    with tenant_context(cast.acme):
        case = made(alice.post(f"{QUALITY}runs/{message.run_id}/case/"))
        again = made(alice.post(f"{QUALITY}runs/{message.run_id}/case/"))

    assert f"quality/runs/{message.run_id}/case/" in runs and f"quality/runs/{unrated.run_id}/" not in runs
    assert case == again and case.run_id == message.run_id
    assert "/case/" not in signed_in(cast.bob).get("/t/acme/runs/").content.decode()


def test_measuring_is_off_until_an_admin_switches_it_on_which_is_logged(cast: Cast) -> None:
    path = f"{QUALITY}measuring/"

    first = signed_in(cast.alice).get(path)
    assert signed_in(cast.bob).post(path, {"samples_answers": "on"}).status_code == 403
    assert signed_in(cast.charlie).post(path, {"samples_answers": "on"}).status_code == 404
    signed_in(cast.alice).post(path, {"samples_answers": "on"})

    assert not first.context["form"]["samples_answers"].value()
    with tenant_context(cast.acme):
        assert Tenant.objects.get(pk=cast.acme.pk).samples_answers
        (event,) = AuditEvent.objects.filter(action="settings.changed")
    assert plain_sentence(event) == "changed settings: have answers measured every night: off → on"
    assert event.actor == cast.alice


def test_the_trend_draws_each_metric_and_says_what_fell(cast: Cast) -> None:
    today = timezone.now().date()

    def report(days_ago: int, mean: float, version: str, **fields: Any) -> None:
        score = {"n": 40, "mean": mean, "low": mean - 0.05, "high": mean + 0.05, "values": []}
        versions = {"answer": {"id": version, "label": f"answer {version}"}}
        more = {"revision": "abc", "prompt_versions": versions, "scores": {"grounded": score}}
        EvalReport.objects.create(day=today - timedelta(days=days_ago), answers=50, sampled=40, **more, **fields)

    with tenant_context(cast.acme):
        report(3, 0.9, "v1")
        report(2, 0.9, "v1")
        fell = {"metric": "grounded", "before": 0.9, "now": 0.6, "low": -0.4, "high": -0.2}
        report(1, 0.6, "v2", drift=[fell], cases=3, failed_cases=[cast.acme.pk])

    response = signed_in(cast.alice).get(f"{QUALITY}trend/")

    page = " ".join(response.content.decode().split())
    assert [chart.name for chart in response.context["charts"]] == ["grounded"]
    assert "Grounded fell from 90 % to 60 %" in page
    assert "40 of 50 answers were measured, and 2 of 3 cases passed" in page
    assert "answer v2" in page and page.count('class="trend-point"') == 3
    assert "Grounded fell" in signed_in(cast.alice).get(QUALITY).content.decode()
    assert "Grounded" not in signed_in(cast.charlie).get("/t/globex/settings/quality/trend/").content.decode()
