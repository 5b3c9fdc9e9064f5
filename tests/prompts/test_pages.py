"""The pages about prompts: what is in force, history, another version, experiments and trials."""

from html import unescape
from typing import Any

import pytest
from django.test import Client

from apps.prompts.lines import read_variables
from apps.prompts.models import Experiment, PromptVersion
from apps.prompts.publish import make, publish, write
from apps.runs.models import Run
from apps.tenants.context import tenant_context
from apps.tenants.models import AuditEvent
from tests.conftest import Cast, signed_in

PROMPTS = "/t/acme/settings/prompts/"
WORDS = "Answer the people of {workspace} in one line."


@pytest.fixture
def alice(cast: Cast) -> Client:
    return signed_in(cast.alice)


def page_of(client: Client, path: str, **sent: Any) -> str:
    """The page at which a request ends, as somebody reads it."""
    response = client.post(path, sent, follow=True) if sent else client.get(path)
    assert response.status_code == 200
    return unescape(response.content.decode())


def live(cast: Cast) -> PromptVersion:
    with tenant_context(cast.acme):
        return PromptVersion.objects.live("answer")


def written(cast: Cast, *bodies: str) -> list[PromptVersion]:
    with tenant_context(cast.acme):
        return [write("answer", body, message=f"Message of {body}") for body in bodies]


def test_another_version_is_written_tried_published_and_rolled_back(cast: Cast, alice: Client) -> None:
    assert "Default" in page_of(alice, PROMPTS)
    draft = page_of(alice, f"{PROMPTS}answer/edit/", body=WORDS, message="Shorter", tier="", draft="1")
    assert "saved as a draft" in draft and live(cast).tenant_id is None
    with tenant_context(cast.acme):
        version = PromptVersion.objects.get(tenant=cast.acme)

    published = page_of(alice, f"{PROMPTS}versions/{version.id}/publish/", yes="1")
    assert "Version 1 is in force" in published and "Yours, version 1" in page_of(alice, PROMPTS)

    page_of(alice, f"{PROMPTS}answer/edit/", body=f"{WORDS} Briefly.", message="", tier="strong", publish="1")
    assert (live(cast).number, live(cast).tier) == (2, "strong")
    assert "Version 1 is in force again" in page_of(alice, f"{PROMPTS}answer/roll-back/", yes="1")
    assert "The default is in force again" in page_of(alice, f"{PROMPTS}answer/default/", yes="1")
    assert live(cast).tenant_id is None
    with tenant_context(cast.acme):
        said = list(
            AuditEvent.objects.filter(action__startswith="prompt.").order_by("at").values_list("action", flat=True)
        )
        assert said == [
            *("prompt.written", "prompt.published", "prompt.written", "prompt.published"),
            *("prompt.rolled_back", "prompt.reset"),
        ]


def test_bad_words_are_shown_again_with_what_is_wrong_and_nothing_is_lost(cast: Cast, alice: Client) -> None:
    page = page_of(alice, f"{PROMPTS}answer/edit/", body="One\nHello {wrokspace}", message="Mine", tier="", draft="1")

    assert "Line 2: {wrokspace} is no variable of this prompt." in page
    assert "Hello {wrokspace}" in page and 'value="Mine"' in page
    with tenant_context(cast.acme):
        assert PromptVersion.objects.filter(tenant=cast.acme).count() == 0


def test_a_version_shows_what_differs_word_by_word(cast: Cast, alice: Client) -> None:
    one, two = written(cast, "Be brief.\nUse tables.", "Be very brief.\nUse tables.")

    page = alice.get(f"{PROMPTS}versions/{two.id}/?with={one.id}")

    lines = [(line.kind, [(part.text, part.is_changed) for part in line.parts]) for line in page.context["lines"]]
    assert lines == [
        ("removed", [("Be brief.", False)]),
        ("added", [("Be", False), (" very", True), (" brief.", False)]),
        ("same", [("Use tables.", False)]),
    ]
    assert alice.get(f"{PROMPTS}versions/{two.id}/?with=nonsense").status_code == 404


def test_words_are_text_and_never_markup(cast: Cast, alice: Client) -> None:
    (version,) = written(cast, "<script>alert(1)</script> {workspace} {{x}}")

    page = alice.get(f"{PROMPTS}versions/{version.id}/").content.decode()

    assert "<script>alert(1)" not in page
    assert '&lt;script&gt;alert(1)&lt;/script&gt; <mark class="variable">{workspace}</mark> {{x}}' in page


def test_only_drafts_are_deleted(cast: Cast, alice: Client) -> None:
    used, draft = written(cast, "One.", "Two.")
    with tenant_context(cast.acme):
        publish(used)

    assert "is in force" in page_of(alice, f"{PROMPTS}versions/{used.id}/delete/", yes="1")
    assert "Version 2 is deleted" in page_of(alice, f"{PROMPTS}versions/{draft.id}/delete/", yes="1")

    with tenant_context(cast.acme):
        assert list(PromptVersion.objects.filter(tenant=cast.acme)) == [used]


def test_an_experiment_is_started_looked_at_and_won(cast: Cast, alice: Client) -> None:
    (version,) = written(cast, WORDS)
    arms = {"arm-TOTAL_FORMS": 4, "arm-INITIAL_FORMS": 2, "arm-0-version": live(cast).id, "arm-0-weight": 1}
    arms |= {"arm-1-version": version.id, "arm-1-weight": 3}

    page = page_of(alice, f"{PROMPTS}answer/experiment/", question="Shorter?", **arms)

    assert "The experiment is running" in page and "weight 3" in page and "nothing yet" in page
    with tenant_context(cast.acme):
        experiment = Experiment.objects.get()
        first, second = experiment.arms.order_by("position")
        for arm, ups, downs, costs in ((first, 10, 40, "0.02"), (second, 45, 5, "0.01")):
            made = {
                "feature": "chat",
                "provider": "p",
                "model": "m",
                "status": "ok",
                "finished_at": experiment.started_at,
            }
            for number in range(ups + downs):
                Run.objects.create(
                    **made,
                    user=cast.alice if number % 2 else cast.bob,
                    experiment_arm=arm,
                    rating=1 if number < ups else -1,
                    cost_usd=costs,
                    latency_ms=1000 + number,
                )
    page = page_of(alice, f"{PROMPTS}answer/experiment/")
    assert "B better than A: 70 points more (53 to 80)." in page
    assert "20.0 %" in page and "11.2 % to 33.0 %, n = 50" in page and "$0.020" in page and "1,024 ms" in page
    assert "No difference yet" in page  # in who got no answer

    won = page_of(alice, f"{PROMPTS}experiments/{experiment.id}/stop/", winner=str(second.id))
    assert "Version 1 is in force" in won and live(cast) == version
    assert "already" in page_of(alice, f"{PROMPTS}experiments/{experiment.id}/stop/", winner="")
    assert "Put in force" in page_of(alice, f"{PROMPTS}answer/experiment/?of={experiment.id}")


def test_an_experiment_of_one_version_is_refused(cast: Cast, alice: Client) -> None:
    arms = {"arm-TOTAL_FORMS": 4, "arm-INITIAL_FORMS": 1, "arm-0-version": live(cast).id, "arm-0-weight": 1}

    assert "two to 4 different versions" in page_of(alice, f"{PROMPTS}answer/experiment/", question="", **arms)
    many = page_of(alice, f"{PROMPTS}answer/experiment/", question="", **arms | {"arm-TOTAL_FORMS": 10_000})
    assert many.count('name="arm-') < 20
    assert "no integer" not in page_of(
        alice, f"{PROMPTS}answer/experiment/", question="", **{**arms, "arm-0-weight": "x"}
    )
    with tenant_context(cast.acme):
        assert Experiment.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_two_versions_are_tried_on_the_same_question(committed_cast: Cast) -> None:
    client = signed_in(committed_cast.alice)
    with tenant_context(committed_cast.acme):
        standard, own = PromptVersion.objects.live("answer"), write("answer", WORDS)

    page = page_of(
        client, f"{PROMPTS}answer/try/", a=str(standard.id), b=str(own.id), in_question="How many days of leave?"
    )

    assert page.count('class="slab trial"') == 2 and "There is nothing in the documents" in page
    with tenant_context(committed_cast.acme):
        runs = Run.objects.filter(feature="try").order_by("created_at")
        assert {run.prompt_version_id for run in runs} == {standard.id, own.id}
        assert {(run.user, run.status) for run in runs} == {(committed_cast.alice, "ok")}
    for prompt, typed in (
        ("route", {"in_question": "Hello"}),
        ("judge", {"in_question": "Hello?", "in_answer": "Hello."}),
        ("repair", {"in_question": "JSON", "in_answer": "{", "in_errors": "it is cut off"}),
    ):
        with tenant_context(committed_cast.acme):
            version = PromptVersion.objects.live(prompt)
        page = page_of(client, f"{PROMPTS}{prompt}/try/", a=str(version.id), b="", **typed)
        assert page.count('class="slab trial"') == 1
    assert "This field is required" in page_of(client, f"{PROMPTS}answer/try/", a=str(standard.id), in_question="")
    with tenant_context(committed_cast.acme):
        sized = make("sized", "{size}", variables=read_variables("size: json", "{size}"))
    page = page_of(client, f"{PROMPTS}sized/try/", a=str(sized.id), b="", in_size="[" * 5_000)
    assert 'Size is no JSON. Write some such as {"size": 3}.' in page


def test_who_may_not_gets_nothing(cast: Cast) -> None:
    (version,) = written(cast, "Acme's words.")
    paths = ["", "answer/", "answer/edit/", "answer/try/", "answer/experiment/", f"versions/{version.id}/"]
    deeds = [
        "answer/roll-back/",
        "answer/default/",
        f"versions/{version.id}/publish/",
        f"versions/{version.id}/delete/",
    ]

    for path in paths:
        assert signed_in(cast.bob).get(PROMPTS + path).status_code == 403
        assert signed_in(cast.charlie).get(PROMPTS + path).status_code == 404
    for path in deeds:
        assert signed_in(cast.bob).post(PROMPTS + path).status_code == 403
        assert signed_in(cast.charlie).post(PROMPTS + path).status_code == 404
    own = "/t/globex/settings/prompts/"
    assert signed_in(cast.charlie).get(f"{own}versions/{version.id}/").status_code == 404
    assert signed_in(cast.charlie).post(f"{own}versions/{version.id}/publish/").status_code == 404
    assert signed_in(cast.charlie).get(f"{own}answer/edit/?from={version.id}").status_code == 404
    assert b"Acme's words" not in signed_in(cast.charlie).get(f"{own}answer/").content
    assert live(cast).tenant_id is None


def test_the_workspaces_admin_puts_in_force_and_takes_back(cast: Cast, alice: Client) -> None:
    admin = "/t/acme/admin/prompts/"
    one, two = written(cast, "One.", "Two.")
    standard, prompt = live(cast), live(cast).prompt

    def act(model: str, action: str, *rows: Any) -> str:
        return page_of(alice, f"{admin}{model}/", action=action, _selected_action=[row.pk for row in rows])

    assert "Choose one" in act("promptversion", "put_in_force", one, two)
    assert "Go back to the default instead" in act("promptversion", "put_in_force", standard)
    assert "answer v1 is in force" in act("promptversion", "put_in_force", one)
    act("promptversion", "put_in_force", two)
    assert "answer v1 is in force" in act("prompt", "roll_back", prompt)
    assert "The default of answer is in force" in act("prompt", "back_to_default", prompt)
    assert "the default is" in act("prompt", "roll_back", prompt)

    assert live(cast) == standard
    refused = signed_in(cast.bob).post(f"{admin}prompt/", {"action": "roll_back", "_selected_action": [prompt.pk]})
    assert refused.status_code == 403
