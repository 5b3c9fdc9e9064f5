"""The report as a page: a picture of every metric, and every test with what was said and what was wanted."""

import json
from statistics import median
from typing import Any

from ..gate import Outcome
from ..metrics import METRICS
from ..results import SuiteResult, TestResult
from . import Report, charts
from .frame import render as framed
from .frame import safe

LEGEND = (("dot", "mean"), ("interval", "95 % interval"), ("floor", "floor"), ("before", "baseline"))


def render(report: Report) -> str:
    compared = report.entries is not None
    suites = [of_suite(report, result) for result in report.results]
    return framed(
        "report.html",
        title=report.title,
        revision=report.revision,
        reasons=[{"suite": each.suite, "said": each.reason} for each in report.refused],
        notes=report.notes,
        facts=facts(report),
        suites=suites,
        has_several=len(suites) > 1,
        compared=compared,
        legend=[
            {"sign": safe(charts.sign(kind)), "name": name} for kind, name in LEGEND if compared or kind != "before"
        ],
    )


def facts(report: Report) -> list[dict[str, str]]:
    tests = [test for result in report.results for test in result.tests]
    if not tests:
        return []
    waited = [test.latency_ms for test in tests if test.latency_ms]
    cost = sum(float(test.cost_usd) for test in tests)
    found = {
        "Suites": str(len(report.results)),
        "Tests": str(len(tests)),
        "Failed": str(len(report.failed)),
        "Cost": f"${cost:.2f}" if cost else "nothing",
    }
    if waited:
        found["Median latency"] = f"{median(waited):.0f} ms"
    return [{"name": name, "value": value} for name, value in found.items()]


def of_suite(report: Report, result: SuiteResult) -> dict[str, Any]:
    return {
        "name": result.name,
        "description": result.suite.description,
        "about": about(result),
        "skipped": result.skipped,
        "refused": any(outcome.is_refused for outcome in report.outcomes_of(result)),
        "rows": [row(outcome) for outcome in report.outcomes_of(result)],
        "failed": len(result.failed),
        "tests": [of_test(test) for test in sorted(result.tests, key=lambda test: test.passed)],
    }


def about(result: SuiteResult) -> list[str]:
    suite = result.suite
    whose = f"search in {len(suite.corpus.documents)} documents" if suite.corpus else f"prompt {suite.prompt}"
    return [whose, result.provider, f"{len(result.tests)} tests", f"checksum {suite.checksum}"]


def row(outcome: Outcome) -> dict[str, Any]:
    now = outcome.now
    return {
        "class": "refused" if outcome.is_refused else "",
        "title": outcome.title,
        "says": METRICS[outcome.metric].says,
        "chart": safe(charts.track(outcome)),
        "mean": f"{now.mean:.1%}",
        "interval": f"{100 * now.low:.1f} to {100 * now.high:.1f}",
        "floor": "" if outcome.floor is None else f"{outcome.floor:.0%}",
        "before": "" if outcome.before is None else f"{outcome.before:.1%}",
        "change": outcome.change_in_points,
    }


def of_test(test: TestResult) -> dict[str, Any]:
    said = [value for value in test.vars.values() if value not in (test.name, "", [])]
    took = (
        [test.model, f"{test.latency_ms} ms", f"{test.output_tokens} tokens", f"${test.cost_usd}"] if test.model else []
    )
    return {
        "class": "passed" if test.passed else "failed",
        "sign": "✓" if test.passed else "✗",
        "name": test.name,
        "workspace": test.workspace,
        "error": test.error,
        "said": test.error or test.output or "(nothing)",
        "vars": [(name, shown(value)) for name, value in test.vars.items() if value in said],
        "asked": [
            {
                "passed": verdict.passed,
                "sign": "✓" if verdict.passed else "✗",
                "said": f"{verdict.asked}{f': {verdict.seen}' if verdict.seen else ''}",
            }
            for verdict in test.verdicts
        ],
        "scores": [
            {"name": METRICS[metric].title, "score": f"{score:.2f}", "is_low": score < 1}
            for metric, score in sorted(test.scores.items(), key=lambda each: [*METRICS].index(each[0]))
        ],
        "passages": test.passages,
        "took": " · ".join(took),
    }


def shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
