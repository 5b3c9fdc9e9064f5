"""Settings, Safety; and the runs that something was noticed about, to those who may see them."""

from typing import Any

import pytest
from django.test import Client

from apps.runs.models import Policy, Run
from apps.runs.noticed import MEANINGS, explained
from apps.tenants.context import tenant_context
from apps.tenants.models import AuditEvent, Tenant
from tests.conftest import Cast, signed_in

PATH = "/t/acme/settings/safety/"
CHOSEN = {"max_input_chars": "50000", "on_injection": "block", "moderates": "on", "on_moderation": "flag"}


def saved(tenant: Tenant) -> tuple[Any, ...] | None:
    with tenant_context(tenant):
        return Policy.objects.values_list("max_input_chars", "on_injection", "moderates", "on_moderation").first()


def test_owners_open_it_members_and_outsiders_do_not(cast: Cast) -> None:
    assert signed_in(cast.alice).get(PATH).status_code == 200
    assert signed_in(cast.bob).get(PATH).status_code == 403
    assert signed_in(cast.charlie).get(PATH).status_code == 404
    assert Client().get(PATH).url == f"/accounts/login/?next={PATH}"


def test_what_is_chosen_is_written_and_logged(cast: Cast) -> None:
    response = signed_in(cast.alice).post(PATH, CHOSEN)

    assert response.url == PATH
    assert (saved(cast.acme), saved(cast.globex)) == ((50_000, "block", True, "flag"), None)
    with tenant_context(cast.acme):
        details = AuditEvent.objects.get(action="policy.changed").details
    assert details["longest request in characters"] == {"before": 400_000, "after": 50_000}
    assert len(details) == 4


def test_nobody_else_changes_it(cast: Cast) -> None:
    assert signed_in(cast.bob).post(PATH, CHOSEN).status_code == 403
    assert signed_in(cast.charlie).post(PATH, CHOSEN).status_code == 404
    assert saved(cast.acme) is None


@pytest.mark.parametrize("chars", ["", "0", "1999", "4000001", "many"])
def test_a_length_that_is_none_is_refused_with_what_to_write(cast: Cast, chars: str) -> None:
    page = signed_in(cast.alice).post(PATH, {**CHOSEN, "max_input_chars": chars})

    assert "Write a number from 2,000 to 4,000,000." in page.content.decode()
    assert saved(cast.acme) is None


def test_the_page_says_whether_anybody_moderates(cast: Cast, settings: Any) -> None:
    client = signed_in(cast.alice)

    without = client.get(PATH).content.decode()
    settings.OPENAI_API_KEY = "sk-x"
    with_one = client.get(PATH).content.decode()
    settings.OPENAI_API_KEY, settings.ANTHROPIC_API_KEY = "", "sk-x"
    with_another = client.get(PATH).content.decode()

    assert ["no effect now" in page for page in (without, with_one, with_another)] == [True, False, True]


def runs(cast: Cast) -> None:
    for tenant, user, feature, flags in (
        (cast.acme, cast.alice, "alices-flagged", ["injection", "citation_unknown"]),
        (cast.acme, cast.bob, "bobs-flagged", ["hidden_text"]),
        (cast.acme, cast.bob, "bobs-plain", []),
        (cast.globex, cast.charlie, "charlies-flagged", ["canary"]),
    ):
        with tenant_context(tenant):
            Run.objects.create(user=user, feature=feature, provider="offline", model="extractive-1", flags=flags)


def features(client: Client, slug: str, query: str = "?flagged=1") -> set[str]:
    return {run.feature for run in client.get(f"/t/{slug}/runs/{query}").context["runs"]}


def test_flagged_runs_are_listed_to_those_who_may_see_them(cast: Cast) -> None:
    runs(cast)

    assert features(signed_in(cast.alice), "acme") == {"alices-flagged", "bobs-flagged"}
    assert features(signed_in(cast.bob), "acme") == {"bobs-flagged"}
    assert features(signed_in(cast.charlie), "globex") == {"charlies-flagged"}
    assert signed_in(cast.charlie).get("/t/acme/runs/?flagged=1").status_code == 404
    assert features(signed_in(cast.bob), "acme", "") == {"bobs-flagged", "bobs-plain"}


def test_a_flag_is_said_in_words(cast: Cast) -> None:
    runs(cast)

    page = signed_in(cast.bob).get("/t/acme/runs/").content.decode()

    assert "Hidden text" in page and MEANINGS["hidden_text"][1] in page
    assert "Injection" not in page and "Leak stopped" not in page
    assert [meaning.label for meaning in explained(["canary", "canary", "some_day"])] == ["Leak stopped", "Some day"]


def test_the_workspaces_admin_filters_by_flag(cast: Cast) -> None:
    runs(cast)
    client = signed_in(cast.alice)

    def listed(query: str) -> set[str]:
        page = client.get(f"/t/acme/admin/runs/run/{query}")
        return {run.feature for run in page.context["cl"].result_list}

    assert listed("?flagged=any") == {"alices-flagged", "bobs-flagged"}
    assert listed("?flagged=injection") == {"alices-flagged"}
    assert listed("?flagged=canary") == set()
    assert listed("") == {"alices-flagged", "bobs-flagged", "bobs-plain"}
