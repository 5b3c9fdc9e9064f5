"""Suites run through what a workspace uses, under row-level security: the demo that `make run` seeds, and a corpus."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core.management import call_command

from apps.knowledge.models import Document
from apps.runs.models import Run
from apps.tenants.context import tenant_context
from apps.tenants.models import Membership
from apps.tenants.platform import find_workspace
from evals import corpus, suite
from evals.gate import outcomes
from evals.judge import judge
from evals.results import SuiteResult
from evals.run import NO_JUDGE, run
from tests.gateway.stub import Finish, Say, Stub

from .test_reading import write_corpus

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "platform"])

SUITE = """description: Two workspaces that know other things
prompt: answer
defaults: { assert: [{ type: not-contains, value: As an AI }] }
tests:
  - workspace: acme
    vars: { question: How many days of paid leave do we get? }
    assert:
      - { type: icontains, value: 28 days }
      - { type: cites, value: people-handbook.md }
      - { type: judged, value: It is one sentence. }
  - workspace: globex
    vars: { question: How many days of paid leave do we get? }
    assert: [{ type: icontains, value: 28 days }]
  - workspace: acme
    vars: { question: How tall is Mount Kilimanjaro? }
    assert: [{ type: refuses }]
"""


@pytest.fixture
def demo(transactional_db: None, media: Path) -> None:
    call_command("seed", verbosity=0)


@pytest.fixture(scope="module")
def stub() -> Iterator[Stub]:
    with Stub().serving() as server:
        yield server


def test_the_demo_has_its_workspaces_people_and_documents_and_seeding_again_adds_nothing(demo: None) -> None:
    call_command("seed", verbosity=0)

    found = {}
    for tenant in (find_workspace("acme"), find_workspace("globex")):
        with tenant_context(tenant):
            people = Membership.objects.select_related("user").order_by("role")
            found[tenant.slug] = (
                [(each.user.name, each.role) for each in people],
                Document.objects.filter(status="ready").count(),
            )
    assert found == {
        "acme": ([("Bob", "member"), ("Alice", "owner")], 3),
        "globex": ([("Charlie", "owner")], 3),
    }


def scores(result: SuiteResult) -> list[dict[str, float]]:
    return [test.scores for test in result.tests]


def test_answers_are_scored_in_the_workspace_of_their_test_and_rubrics_only_by_a_judge(
    demo: None, tmp_path: Path, stub: Stub, settings: LazySettings
) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(SUITE)
    settings.OPENAI_API_KEY, settings.OPENAI_BASE_URL = "sk-a-developers-own", "http://127.0.0.1:1"  # stay out of it
    stub.script(settings.OPENAI_MODEL, Say('{"score": 0.4, "reason": "It is two."}'), Finish())
    told: list[int] = []

    (result,) = run([suite.read(path)], tell=lambda _, done, of: told.append(done))
    unjudged = [*result.skipped], [test.passed for test in result.tests]
    judge([result], provider=f"base_url={stub.base_url('openai')}")

    rests = {"context": 1, "grounded": 1, "citation_precision": 1}
    assert scores(result) == [
        {"correct": 1, "cited": 1, "judged": 0.4} | rests,
        {"correct": 0} | rests | {"context": 0},  # what Acme knows isn't among Globex's passages
        {"correct": 1, "refused": 1},
    ]
    assert (told, unjudged) == ([0, 1, 2, 3], ([NO_JUDGE], [True, False, True]))
    assert result.tests[0].verdicts[-1].seen == "It is two." and not result.tests[0].passed
    with tenant_context(find_workspace("acme")):
        assert set(Run.objects.filter(kind="completion").values_list("feature", "provider")) == {
            ("eval", "offline"),
            ("eval", "openai"),
        }


def test_search_is_scored_in_a_workspace_of_its_own(
    transactional_db: None, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_corpus(
        tmp_path / "small",
        corpus='{"_id": "d1", "title": "Leave", "text": "Everybody gets 28 days\\nof paid leave."}\n'
        '{"_id": "d2", "title": "Parking", "text": "Cars are parked behind the hall."}\n',
        queries='{"_id": "q1", "text": "How many days of leave?", "answer": "28 days of paid leave"}\n'
        '{"_id": "q2", "text": "Where may I park my car?"}\n',
        qrels="query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t2\nq2\td1\t1\n",
    )
    monkeypatch.setattr(corpus, "CORPORA", tmp_path)
    path = tmp_path / "search.yaml"
    path.write_text("description: Search\nkind: retrieval\ncorpus: small\nfloors: { recall@5: 1 }\n")

    (result,) = run([suite.read(path)])

    ranks = {"recall@5": 1, "recall@10": 1, "mrr@10": 1}
    assert scores(result) == [ranks | {"context": 1}, ranks]
    assert not any(outcome.is_below_floor for outcome in outcomes([result]))
