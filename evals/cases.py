"""Approved eval cases of a workspace, as tests of the harness. They are asked in that workspace itself, and of its own
models, so they need the live database: `evals.live`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .asserts import KINDS, Check
from .bad import Bad
from .results import SuiteResult
from .suite import NAME_CHARS, Suite, Test

if TYPE_CHECKING:
    from apps.chat.models import EvalCase
    from apps.tenants.models import Tenant

    from .results import TestResult

LIVE = "live"  # in the place of a provider's name: whoever the workspace's routes lead to


def suite_of(workspace: "Tenant") -> Suite:
    """Without tests where no case is approved."""
    from apps.chat.models import EvalCase
    from apps.tenants.context import tenant_context

    with tenant_context(workspace):
        approved = EvalCase.objects.filter(state=EvalCase.State.APPROVED).order_by("created_at", "pk")
        tests = tuple(test_of(case, workspace.slug) for case in approved)
    name = f"cases of {workspace.slug}"
    return Suite(Path(name), name, f"Approved cases of {workspace.name}", "answer", LIVE, {}, tests)


def test_of(case: "EvalCase", slug: str) -> Test:
    """Its name is the case's id: two may ask the same."""
    checks = tuple(Check(each["type"], each.get("value"), threshold(each["type"])) for each in case.asserts)
    return Test(Path("cases"), 0, "answer", slug, str(case.pk), {"question": case.question}, checks)


def threshold(kind: str) -> float:
    known = KINDS[kind].threshold
    return 1.0 if known is None else known


def run(slug: str, *, tell: Any = lambda *_: None) -> SuiteResult:
    """Ask the workspace's approved cases now. Raises Bad if it has none, or isn't there."""
    import asyncio

    from django.core.exceptions import ImproperlyConfigured

    from apps.tenants.models import Tenant
    from apps.tenants.platform import find_workspace

    from .run import run_suite

    try:
        suite = suite_of(find_workspace(slug))
    except Tenant.DoesNotExist:
        raise Bad("--cases", f"there is no workspace {slug!r}", "Name one as in /t/<slug>/.") from None
    except ImproperlyConfigured as error:
        raise Bad("--cases", str(error).rstrip("."), "Set it and try again.") from error
    if not suite.tests:
        raise Bad("--cases", f"{slug!r} has no approved case", "Approve one under Settings, Quality.")
    result = asyncio.run(run_suite(suite, provider=LIVE, tell=tell))
    return replace(result, tests=[named(test) for test in result.tests])


def named(test: "TestResult") -> "TestResult":
    """By its question, for people to read."""
    question = " ".join(test.vars["question"].split())[:NAME_CHARS]
    return replace(test, name=question, key=f"{test.workspace}: {question} ({test.name[:8]})")
