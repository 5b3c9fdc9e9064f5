"""Nightly measuring: only where it was switched on, the same when called again, loud when answers became worse."""

import json
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core import mail
from django.utils import timezone

from apps.chat.models import EvalCase, EvalReport
from apps.chat.quality import drift_mail
from apps.chat.quality.metrics import METRICS
from apps.runs.models import Run
from apps.tenants.context import tenant_context
from apps.tenants.models import Flag, Membership, Tenant
from evals import cases, nightly
from evals.bad import Bad
from evals.drift import Measured, changes, windows
from evals.production import sample
from tests.chat.rated import answered, read_handbook
from tests.conftest import Cast

QUESTION = "How many days of paid leave do we get?"
RIGHT = "Everybody at Acme gets 28 days of paid leave a year [1]."
WRONG = "Everybody gets 99 sabbaticals in Norway [1]."
live = pytest.mark.django_db(transaction=True, databases=["default", "platform"])


def yesterday() -> date:
    return timezone.now().date() - timedelta(days=1)


def at_noon(day: date) -> datetime:
    return datetime.combine(day, time(12), UTC)


def consent(*tenants: Tenant) -> None:
    for tenant in tenants:
        with tenant_context(tenant):
            Tenant.objects.filter(pk=tenant.pk).update(samples_answers=True)


def a_week_before(tenant: Tenant, **values: list[float]) -> None:
    """Reports of the seven days before yesterday."""
    scores = {
        metric: {"n": len(each), "mean": 0.9, "low": 0.8, "high": 1, "values": each} for metric, each in values.items()
    }
    with tenant_context(tenant):
        for back in range(1, 8):
            EvalReport.objects.create(day=yesterday() - timedelta(days=back), revision="before", scores=scores)


def reports(tenant: Tenant) -> list[EvalReport]:
    with tenant_context(tenant):
        return list(EvalReport.objects.filter(day=yesterday()))


def approve(tenant: Tenant, question: str, **asks: Any) -> EvalCase:
    with tenant_context(tenant):
        return EvalCase.objects.create(question=question, state="approved", **asks)


@live
@pytest.mark.pool_and_silo
def test_a_planted_drop_is_told_once_and_by_the_exit_code(committed_cast: Cast, media: Any) -> None:
    acme = committed_cast.acme
    read_handbook(acme)
    consent(acme)
    a_week_before(acme, grounded=[1.0] * 12, citation_precision=[1.0] * 12)
    for _ in range(11):
        answered(acme, committed_cast.bob, text=WRONG, created_at=at_noon(yesterday()))
    answered(acme, committed_cast.alice, text=RIGHT, created_at=at_noon(yesterday()), rating=1)

    first, again = nightly.run(), nightly.run()

    assert (first, again) == (1, 1)
    (report,) = reports(acme)
    assert {each["metric"] for each in report.drift} == {"grounded", "citation_precision"}
    assert (report.answers, report.sampled, report.scores["grounded"]["n"]) == (12, 12, 12)
    assert report.scores["thumbs_up"]["values"] == [1.0]
    assert report.scores["latency"]["mean"] == 0.9 and report.scores["cost"]["mean"] == 0.0021
    (letter,) = mail.outbox
    assert letter.to == ["alice@acme.example"]  # Bob is no admin
    assert "Grounded fell from 100 % to 8.3 %." in letter.body
    assert "/t/acme/settings/quality/trend/" in letter.body and "Answers have become worse" in letter.alternatives[0][0]
    kept = json.dumps(report.scores) + json.dumps(report.prompt_versions) + letter.body
    assert "Norway" not in kept and "28 days" not in kept


@live
@pytest.mark.pool_and_silo
def test_without_a_drop_nobody_is_told_and_only_those_who_want_it_are_measured(
    committed_cast: Cast, media: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    acme, globex = committed_cast.acme, committed_cast.globex
    read_handbook(acme)
    consent(acme)
    a_week_before(acme, grounded=[1.0] * 12, cases=[1.0])
    approve(acme, QUESTION, contains=["28 days"], cites=["handbook.md"])
    approve(acme, "Who composed The Magic Flute?", refuses=True)
    for _ in range(12):
        answered(acme, committed_cast.bob, text=RIGHT, created_at=at_noon(yesterday()))
    answered(globex, committed_cast.charlie, text=WRONG, created_at=at_noon(yesterday()), rating=-1)

    code = nightly.run()

    assert code == 0 and mail.outbox == [] and reports(globex) == []
    (report,) = reports(acme)
    assert (report.drift, report.cases, report.failed_cases) == ([], 2, [])
    assert report.scores["grounded"]["mean"] == 1 and report.scores["cases"]["values"] == [1.0, 1.0]
    assert report.prompt_versions["answer"]["label"] == "answer v1"
    assert "12 of 12 answers, 2 of 2 cases passed" in capsys.readouterr().out
    asked_now = cases.run("acme")
    assert [test.name for test in asked_now.tests] == [QUESTION, "Who composed The Magic Flute?"]
    assert asked_now.failed == []
    with tenant_context(acme):
        asked = Run.objects.filter(feature="eval", kind="completion")
        assert {run.status for run in asked} == {"ok"} and asked.count() == 4
        EvalCase.objects.update(contains=["30 days"], cites=[], refuses=False)
        EvalReport.objects.filter(day=yesterday()).delete()
    assert nightly.run() == 1
    (report,) = reports(acme)
    assert ([each["metric"] for each in report.drift], len(report.failed_cases)) == (["cases"], 2)


@live
def test_a_case_that_gets_no_answer_says_nothing_about_answers(committed_cast: Cast, media: Any, capsys: Any) -> None:
    acme = committed_cast.acme
    consent(acme)
    a_week_before(acme, cases=[1.0])
    approve(acme, QUESTION, contains=["28 days"])
    with tenant_context(acme):
        Flag.objects.create(tenant=acme, name="ai", is_on=False)

    assert nightly.run() == 0

    (report,) = reports(acme)
    assert (report.cases, report.scores) == (0, {})
    assert "1 of 1 cases got no answer" in capsys.readouterr().out


@live
def test_what_can_not_be_measured_is_said_with_what_to_do(committed_cast: Cast) -> None:
    for arguments, says in (
        ({"slug": "acme"}, "has not switched measuring on. An owner or admin does under Settings, Quality"),
        ({"slug": "initech"}, "there is no workspace 'initech'"),
        ({"day": timezone.now().date()}, "isn't over"),
    ):
        with pytest.raises(Bad, match=says):
            nightly.run(**arguments)
    with pytest.raises(Bad, match="'acme' has no approved case"):
        cases.run("acme")
    with pytest.raises(Bad, match="there is no workspace 'initech'"):
        cases.run("initech")
    assert nightly.run() == 0  # nobody asked for it


@live
def test_everybody_who_changes_settings_is_told_and_not_of_what_was_known(committed_cast: Cast) -> None:
    with tenant_context(committed_cast.acme):
        Membership.objects.filter(user=committed_cast.bob).update(role=Membership.Role.ADMIN)
        fell = {"metric": "grounded", "before": 0.9, "now": 0.6, "low": -0.4, "high": -0.2}
        rose = {"metric": "latency", "before": 1.0, "now": 4.0, "low": 2.0, "high": 4.0}
        days = [yesterday() - timedelta(days=back) for back in (2, 1, 0)]
        made = [
            EvalReport.objects.create(day=day, revision="r", drift=drift)
            for day, drift in zip(days, ([fell], [fell], [fell, rose]), strict=True)
        ]

        assert [drift_mail.send(report) for report in made] == [True, False, True]

    assert [letter.to for letter in mail.outbox] == [["alice@acme.example", "bob@acme.example"]] * 2
    assert "Latency rose from 1.0 s to 4.0 s." in mail.outbox[1].body


def test_a_sample_has_each_kinds_share_and_is_the_same_for_the_same_day() -> None:
    of_kind: dict[UUID, str] = {uuid4(): kind for kind, n in (("v1", 60), ("v2", 30), ("v3", 10)) for _ in range(n)}

    first, again, other = (sample(of_kind, most=20, seed=seed) for seed in ("1", "1", "2"))

    assert Counter(of_kind[id] for id in first) == {"v1": 12, "v2": 6, "v3": 2}
    assert first == again and set(first) != set(other)
    assert set(sample(of_kind, most=1_000, seed="1")) == set(of_kind)


def days(*values: list[float], metric: str = "grounded") -> list[Measured]:
    """The newest first."""
    return [Measured(date(2026, 11, 20) - timedelta(days=back), {metric: each}) for back, each in enumerate(values)]


def test_a_quiet_day_is_taken_together_with_those_before_it() -> None:
    now_and_before = windows(days([0.5] * 4, [0.4] * 4, [0.3] * 4, [1.0] * 12), "grounded", METRICS["grounded"])

    assert now_and_before == ([1.0] * 12, [0.5] * 4 + [0.4] * 4 + [0.3] * 4)
    assert windows(days([0.5] * 4, [0.4] * 4), "grounded", METRICS["grounded"]) is None


@pytest.mark.parametrize(
    ("metric", "before", "now", "is_worse"),
    [
        ("grounded", [1.0] * 50, [1.0, 0.5] * 25, True),
        ("grounded", [1.0] * 50, [1.0] * 49 + [0.0], False),  # chance
        ("grounded", [0.5] * 50, [1.0] * 50, False),  # better
        ("refused", [0.0] * 50, [0.0, 1.0] * 25, True),
        ("refused", [1.0] * 50, [0.0] * 50, False),
        ("latency", [1.0] * 50, [1.2] * 50, False),  # within its slack
        ("latency", [1.0] * 50, [1.6] * 50, True),
        ("cost", [0.002] * 50, [0.004] * 50, True),
        ("cases", [1.0] * 21, [1.0, 0.0, 0.0], False),  # one of three may be drawn thrice
        ("cases", [1.0] * 21, [0.0, 0.0, 0.0], True),
    ],
)
def test_worse_is_beyond_the_slack_and_beyond_chance(
    metric: str, before: list[float], now: list[float], is_worse: bool
) -> None:
    (change,) = changes(days(now, before, metric=metric), name="acme")

    assert change.is_worse is is_worse
