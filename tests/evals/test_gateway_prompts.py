"""The prompts that the gateway asks by itself are tried in its own way, with the words that are live."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.prompts.models import Prompt, PromptVersion
from apps.runs.models import Run
from apps.tenants.context import tenant_context
from apps.tenants.models import Tenant
from apps.tenants.threads import in_thread
from evals.bad import Bad
from evals.drivers import driver
from evals.produced import Produced
from evals.providers import configure
from evals.ratings import half, sure, unsure
from evals.suite import Test
from tests.conftest import Cast

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "platform"])

GIVEN: dict[str, dict[str, Any]] = {
    "route": {"request": "Prove that there is no largest prime."},
    "judge": {
        "question": "For how many days may I borrow a tool?",
        "passages": ["# Lending\nA tool may be borrowed for 14 days."],
        "answer": "A tool may be borrowed for 21 days [1].",
    },
    "repair": {
        "request": "File a ticket: the lamp is out, five minutes.",
        "form": "ticket",
        "answer": '{"title": "The lamp is out", "priority": "low", "labels": [], "minutes": "five"}',
    },
}
TICKET = {"title": "The lamp is out", "priority": "low", "labels": [], "minutes": 5}


@pytest.fixture
def rehearsed(committed_cast: Cast) -> Iterator[Cast]:
    with configure("rehearsal"):
        yield committed_cast


async def make(prompt: str, **given: Any) -> Produced:
    test = Test(Path("suite.yaml"), 7, prompt, "acme", prompt, GIVEN[prompt] | given)
    return await driver(prompt)(test)


def live(tenant: Tenant, prompt: str, body: str) -> None:
    PromptVersion.objects.create(
        tenant=tenant, prompt=Prompt.objects.get(name=prompt), number=1, body=body, is_live=True
    )


async def test_each_comes_back_as_the_object_that_the_gateway_would_use_and_leaves_a_run(rehearsed: Cast) -> None:
    with tenant_context(rehearsed.acme):
        made = [await make(prompt) for prompt in GIVEN]
        runs = await in_thread(lambda: [*Run.objects.select_related("prompt_version__prompt").order_by("created_at")])

    routed, judged, repaired = made
    assert (routed.value, judged.value) == ({"tier": "strong"}, {"score": 0.0})
    assert repaired.value.model_dump() == TICKET
    assert [each.error for each in made] == ["", "", ""]
    assert [(run.prompt_version.prompt.name, run.purpose, run.feature) for run in runs] == [
        ("route", "classify", "eval"),
        ("judge", "judge", "eval"),
        ("repair", "repair", "eval"),
    ]


async def test_a_workspaces_own_words_are_what_is_tried_and_of_no_use_if_they_ask_for_prose(rehearsed: Cast) -> None:
    own = {
        "route": "You decide which model answers a request.\n- cheap: facts\n- strong: mathematics",
        "judge": "Judge the answer above.\n- 1: right\n- 0: wrong",
        "repair": "Answer again in its right form.\n\nWhat is wrong with it:",
    }

    with tenant_context(rehearsed.acme):
        for prompt, body in own.items():
            await in_thread(live, rehearsed.acme, prompt, body)
        made = [await make(prompt) for prompt in own]

    assert [each.value for each in made] == [None, None, None]
    assert all(each.error for each in made) and not any("{" in each.output for each in made[:2])


async def test_a_test_that_lacks_what_its_prompt_needs_is_told_so(rehearsed: Cast) -> None:
    with tenant_context(rehearsed.acme):
        with pytest.raises(Bad, match="line 7: there is no form 'poem'"):
            await make("repair", form="poem")
        with pytest.raises(Bad, match="line 7: the answer needs no repair"):
            await make("repair", answer='{"title": "Lamp", "priority": "low", "labels": [], "minutes": 5}')
        with pytest.raises(Bad, match="line 7: its variables are request, mood"):
            await make("route", mood="cheerful")


def test_a_rating_is_sure_half_sure_or_not() -> None:
    verdicts = {
        score: tuple(float(verdict(Produced(value={"score": score}), None)) for verdict in (sure, half, unsure))
        for score in (1.0, 0.7, 0.5, 0.3, 0.0)
    }

    assert verdicts == {1.0: (1, 0, 0), 0.7: (1, 0, 0), 0.5: (0, 1, 0), 0.3: (0, 0, 1), 0.0: (0, 0, 1)}
