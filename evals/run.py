"""A suite's tests through their driver, several at a time, and what their asserts make of it."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from typing import Any

from . import asserts, retrieval
from .asserts import KINDS, Check
from .bad import Bad
from .drivers import driver
from .metrics import OF_EVERY_ANSWER
from .produced import Produced
from .providers import configure
from .results import Given, SuiteResult, TestResult, Verdict
from .suite import Suite, Test

log = logging.getLogger(__name__)

AT_ONCE = 4
NO_JUDGE = "judged asserts need a model: name one with --judge"
Tell = Callable[[Suite, int, int], None]
"""Hears after each test how many of the suite's are done, and of how many."""


def run(suites: Sequence[Suite], *, provider: str = "", tell: Tell = lambda *_: None) -> list[SuiteResult]:
    """Each suite with `provider`, or its own. Needs settings, services and the demo; see `evals.stage`. Raises Bad."""
    results: dict[str, SuiteResult] = {}
    by_provider = sorted(suites, key=lambda suite: provider or suite.provider)
    for name, several in groupby(by_provider, key=lambda suite: provider or suite.provider):
        with configure(name):
            for result in asyncio.run(run_all([*several], provider=name, tell=tell)):
                results[str(result.suite.path)] = result
    return [results[str(suite.path)] for suite in suites]


async def run_all(suites: Sequence[Suite], *, provider: str, tell: Tell = lambda *_: None) -> list[SuiteResult]:
    return [await run_suite(suite, provider=provider, tell=tell) for suite in suites]


async def run_suite(suite: Suite, *, provider: str, tell: Tell = lambda *_: None) -> SuiteResult:
    """Inside `configure(provider)`."""
    from apps.tenants.threads import in_thread

    tell(suite, 0, len(suite.tests))
    loaded = await in_thread(retrieval.load, suite.corpus) if suite.corpus else None
    free, done = asyncio.Semaphore(AT_ONCE), 0

    async def one(test: Test) -> TestResult:
        nonlocal done
        async with free:
            result = await (run_test(test) if loaded is None else find_test(test, loaded))
        done += 1
        tell(suite, done, len(suite.tests))
        return result

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(test)) for test in suite.tests]
    except* Bad as several:
        raise several.exceptions[0] from None
    has_rubrics = any(check.type == "judged" for test in suite.tests for check in test.checks)
    return SuiteResult(suite, provider, [task.result() for task in tasks], [NO_JUDGE] if has_rubrics else [])


async def run_test(test: Test) -> TestResult:
    from apps.tenants.context import tenant_context
    from apps.tenants.platform import find_workspace
    from apps.tenants.threads import in_thread

    with tenant_context(await in_thread(find_workspace, test.workspace)):
        produced = await unless_broken(driver(test.prompt)(test))
        return await in_thread(scored, test, produced)


async def find_test(test: Test, loaded: retrieval.Loaded) -> TestResult:
    from django.conf import settings

    from apps.tenants.context import tenant_context

    workspace, ids = loaded
    with tenant_context(workspace):
        produced = await retrieval.find(test)
    result = result_of(test, produced)
    result.scores = retrieval.score(test, produced, ids, given=settings.PASSAGES_PER_ANSWER)
    result.output = "\n".join(f"{rank}. {ids[hit.document_id]}" for rank, hit in enumerate(produced.passages, 1))
    wanted = ", ".join(test.vars["relevant"])
    result.verdicts = [
        Verdict(f"finds {wanted}", "recall@10", result.scores["recall@10"], result.scores["recall@10"] == 1)
    ]
    return result


async def unless_broken(producing: Any) -> Produced:
    """What a driver made; what breaks in it is that test's failure, and the others go on."""
    try:
        produced: Produced = await producing
    except Bad:
        raise
    except Exception as error:
        log.exception("a test broke")
        return Produced(error=f"{type(error).__name__}: {error}")
    return produced


def scored(test: Test, produced: Produced) -> TestResult:
    """By metric the worst score of its asserts, and what is measured of every answer."""
    result = result_of(test, produced)
    result.verdicts = [verdict(check, produced, test) for check in test.checks if check.type != "judged"]
    for each in result.verdicts:
        result.scores[each.metric] = min(each.score, result.scores.get(each.metric, 1.0))
    for metric, measure in of_every_answer(test, produced).items():
        result.scores.setdefault(metric, 0.0 if produced.error else measure())
    return result


def verdict(check: Check, produced: Produced, test: Test) -> Verdict:
    kind = KINDS[check.type]
    score, seen = 0.0, ""
    if not produced.error:
        try:
            score = float(kind.score(check, produced, test))
        except Exception as error:  # a function of a suite's own met what it didn't think of
            seen = f"{type(error).__name__}: {error}"
    passes_from = 1.0 if check.type == "similar" else check.threshold
    return Verdict(str(check), kind.metric, score, score >= passes_from and not (produced.error or seen), seen)


def of_every_answer(test: Test, produced: Produced) -> dict[str, Callable[[], float]]:
    measures: dict[str, Callable[[], float]] = {"context": partial(asserts.context, produced, test)}
    measures |= {metric: partial(rests, metric, produced, test) for metric in OF_EVERY_ANSWER}
    return {metric: measure for metric, measure in measures.items() if metric in test.metrics}


def rests(metric: str, produced: Produced, test: Test) -> float:
    return asserts.scored(produced, test)[metric]


def result_of(test: Test, produced: Produced) -> TestResult:
    run = produced.run
    passages = [
        Given(number, hit.title, hit.heading, hit.text, number in produced.cited)
        for number, hit in enumerate(produced.passages, start=1)
    ]
    return TestResult(
        key=test.key,
        workspace=test.workspace,
        name=test.name,
        vars=test.vars,
        output=produced.output,
        error=produced.error,
        passages=passages,
        model=f"{run.provider_answered or run.provider}/{run.model_answered or run.model}" if run else "",
        latency_ms=produced.latency_ms,
        cost_usd=str(produced.cost_usd),
        output_tokens=run.output_tokens if run else 0,
    )
