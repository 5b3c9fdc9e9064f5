"""python -m evals nightly: what yesterday's answers were worth, of every workspace that consented.

Once a day and workspace; called again it leaves what is there. Whom to look at is asked as the platform's role;
everything else is done in the workspace's own context, under row-level security.
"""

import asyncio
import logging
import sys
from argparse import ArgumentTypeError, Namespace
from dataclasses import asdict
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from . import intervals, live, revision
from .bad import Bad

if TYPE_CHECKING:
    from apps.chat.models import EvalReport
    from apps.tenants.models import Tenant

    from .results import TestResult

log = logging.getLogger(__name__)

WEEKS_BACK = 2  # of reports that the newest is compared with


def command(options: Namespace) -> int:
    """0; 1 if somebody's answers have become worse, 2 if a workspace couldn't be measured."""
    live.connect()
    return run(options.day, slug=options.workspace)


def run(day: date | None = None, *, slug: str = "") -> int:
    """Needs Django. Raises Bad."""
    from django.utils import timezone

    from apps.tenants.context import tenant_context

    today = timezone.now().date()
    day = day or today - timedelta(days=1)
    if day >= today:
        raise Bad("--day", f"{day} isn't over", "Days are in UTC; leave it out for yesterday")
    code = 0
    for workspace in consenting(slug):
        try:
            with tenant_context(workspace):
                report = report_of(workspace, day)
            code = max(code, 1 if report.drift else 0)
        except Exception as error:  # the others are measured all the same
            log.exception("%s could not be measured", workspace.slug)
            print(f"{workspace.slug}: could not be measured ({type(error).__name__}: {error})", file=sys.stderr)
            code = 2
    return code


def consenting(slug: str) -> list["Tenant"]:
    """Open workspaces that switched measuring on. Raises Bad."""
    from django.core.exceptions import ImproperlyConfigured

    from apps.tenants.models import Tenant
    from apps.tenants.platform import require_platform

    try:
        every = Tenant.objects.using(require_platform()).filter(status=Tenant.Status.ACTIVE)
    except ImproperlyConfigured as error:
        raise Bad("The environment", str(error).rstrip("."), "Set it and try again") from error
    found = [each for each in every.filter(samples_answers=True).order_by("slug") if slug in ("", each.slug)]
    if slug and not found:
        is_there = every.filter(slug=slug).exists()
        fault = f"{slug!r} has not switched measuring on" if is_there else f"there is no workspace {slug!r}"
        mend = "An owner or admin does under Settings, Quality" if is_there else "Name one as in /t/<slug>/"
        raise Bad("--workspace", fault, mend)
    if not found:
        print("No workspace has switched measuring on: owners and admins do under Settings, Quality.")
    for each in found:
        each._state.db = "default"  # what is done for it is done in its own context
    return found


def report_of(workspace: "Tenant", day: date) -> "EvalReport":
    """The day's report, made if it isn't there; and told of, if that wasn't done. In the workspace's context."""
    from apps.chat.models import EvalReport
    from apps.chat.quality import drift_mail

    report = EvalReport.objects.filter(day=day).first()
    say = f"{workspace.slug}: {'measured before' if report else 'measuring'} {day}"
    print(say, flush=True)
    report = report or make(workspace, day)
    tell(report)
    if report.drift and drift_mail.send(report):
        print("  Owners and admins are told by mail.")
    return report


def make(workspace: "Tenant", day: date) -> "EvalReport":
    from django.db import IntegrityError, transaction

    from apps.chat.models import EvalReport

    from . import drift, production

    measured = production.measure(day)
    asked = ask_cases(workspace)
    values = dict(measured.values)
    if asked:
        values["cases"] = [float(test.passed) for test in asked]
    since = day - timedelta(weeks=WEEKS_BACK)
    before = EvalReport.objects.filter(day__gte=since, day__lt=day)
    days = [drift.Measured(each.day, values_of(each)) for each in before]
    changes = drift.changes([*days, drift.Measured(day, values)], name=workspace.slug)
    try:
        with transaction.atomic():
            return EvalReport.objects.create(  # type: ignore[no-any-return]
                day=day,
                revision=revision.current().name,
                prompt_versions=live_versions(),
                answers=measured.answers,
                sampled=measured.sampled,
                cases=len(asked),
                failed_cases=[test.name for test in asked if not test.passed],
                scores=scores(values, name=f"{workspace.slug} {day}"),
                drift=[change.as_json() for change in changes if change.is_worse],
            )
    except IntegrityError:  # somebody else measured it meanwhile
        return EvalReport.objects.get(day=day)  # type: ignore[no-any-return]


def ask_cases(workspace: "Tenant") -> list["TestResult"]:
    """Those that got an answer. What was refused, by a budget for one, says nothing about answers."""
    from .cases import LIVE, suite_of
    from .run import run_suite

    suite = suite_of(workspace)
    if not suite.tests:
        return []
    results = asyncio.run(run_suite(suite, provider=LIVE)).tests
    asked = [test for test in results if not test.error]
    if missing := len(results) - len(asked):
        why = sorted({test.error for test in results if test.error})
        print(f"  {missing} of {len(results)} cases got no answer: {'; '.join(why)}")
    return asked


def scores(values: dict[str, list[float]], *, name: str) -> dict[str, Any]:
    """As EvalReport keeps them."""
    return {
        metric: {
            **{key: round(value, 6) for key, value in asdict(intervals.of_mean(each, name=f"{name} {metric}")).items()},
            "n": len(each),
            "values": [round(value, 6) for value in each],
        }
        for metric, each in values.items()
        if each
    }


def values_of(report: "EvalReport") -> dict[str, list[float]]:
    return {metric: score.get("values", []) for metric, score in report.scores.items()}


def live_versions() -> dict[str, dict[str, str]]:
    """By prompt the version in force in the active workspace."""
    from apps.prompts.models import Prompt, PromptVersion

    found = {}
    for name in Prompt.objects.order_by("name").values_list("name", flat=True):
        try:
            version = PromptVersion.objects.live(name)
        except PromptVersion.DoesNotExist:
            continue
        own = " of the workspace" if version.tenant_id else ""
        found[name] = {"id": str(version.pk), "label": f"{version}{own}"}
    return found


def tell(report: "EvalReport") -> None:
    from apps.chat.quality.metrics import METRICS, drift_sentence

    passed = report.cases - len(report.failed_cases)
    print(f"  {report.sampled} of {report.answers} answers, {passed} of {report.cases} cases passed")
    for name, metric in METRICS.items():
        if score := report.scores.get(name):
            span = f"{metric.shown(score['low'])} to {metric.shown(score['high'])}"
            print(f"  {metric.title:20} {metric.shown(score['mean']):>12}   {span}, of {score['n']}")
    for each in report.drift:
        print(f"  WORSE  {drift_sentence(each)} since the week before")


def day_of(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no day; write it as 2026-11-20") from None
