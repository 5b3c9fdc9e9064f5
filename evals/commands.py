"""The commands of `python -m evals`: each reads, measures on a stage of its own, says and keeps what came out."""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from . import baseline as baselines
from . import floors, live, providers, report, revision, store, suite
from . import gate as gates
from . import touched as changes
from . import trend as trends
from .bad import Bad
from .report import Report, terminal
from .results import SuiteResult
from .suite import Suite


def run(options: Namespace) -> int:
    """1 if a mean is below its floor, or a case of --cases failed."""
    if options.cases:
        return run_cases(options)
    suites = chosen(suite.read_all(options.suites), workspace=options.workspace, only=options.only)
    for provider in (options.provider, options.judge):
        if provider:
            providers.require(provider)
    results = measure(suites, provider=options.provider, judge=options.judge)
    found = Report(results, gates.outcomes(results), revision.current())
    if not options.only:
        store.save(results, found.revision)
    return tell(found, options.report)


def run_cases(options: Namespace) -> int:
    """Not kept among the measurements: what they hold is a workspace's own."""
    from . import cases

    live.connect()
    result = cases.run(options.cases, tell=terminal.Progress())
    found = Report([result], gates.outcomes([result]), revision.current())
    code = tell(found, options.report)
    if result.failed:
        print(f"{len(result.failed)} of {len(result.tests)} cases failed.")
    return max(code, int(bool(result.failed)))


def gate(options: Namespace) -> int:
    """1 if a mean is below its floor or worse than the baseline."""
    every = suite.read_all()
    suites = suite.read_all(options.suites) if options.suites else every
    entries = baselines.read()
    baselines.require_no_strangers(entries, every)
    notes: list[str] = []
    if options.since:
        suites = changes.touched(suites, since=options.since)
        notes = [*baselines.moved(options.since, entries), *floors.lowered(options.since, every)]
    baselines.require(entries, suites)
    results = measure(suites)
    outcomes = gates.outcomes(results, entries, slack=options.slack)
    found = Report(results, outcomes, revision.current(), entries, notes)
    store.save(results, found.revision)
    return tell(found, options.report)


def baseline(options: Namespace) -> int:
    """0; a baseline may be below a floor, which the gate then says."""
    every = suite.read_all()
    suites = suite.read_all(options.suites) if options.suites else every
    before = baselines.read() if baselines.PATH.is_file() and options.suites else {}
    results = measure(suites)
    baselines.write(baselines.merged(before, results, suites=every))
    found = Report(results, gates.outcomes(results), revision.current())
    tell(found, None)
    print(f"Wrote {baselines.PATH.name}. Commit it with what made it change.")
    return 0


def touched(options: Namespace) -> int:
    for each in changes.touched(suite.read_all(), since=options.since):
        print(each.name)
    return 0


def trend(options: Namespace) -> int:
    page = trends.write((options.report or store.FOLDER) / "trend.html")
    print(f"Wrote {page}")
    return 0


def chosen(suites: Sequence[Suite], *, workspace: str, only: str) -> list[Suite]:
    """The suites with those of their tests that are asked for. Raises Bad if there are none."""
    found = []
    for each in suites:
        tests = tuple(
            test for test in each.tests if workspace in ("", test.workspace) and only.casefold() in test.name.casefold()
        )
        if tests:
            found.append(replace(each, tests=tests))
    if not found:
        asked = " and ".join(part for part in (workspace and f"of {workspace}", only and f"with {only!r}") if part)
        raise Bad("--workspace, --only", f"there is no test {asked}", "Leave one of them out.")
    return found


def measure(suites: Sequence[Suite], *, provider: str = "", judge: str = "") -> list[SuiteResult]:
    """On a stage of its own, with progress on the terminal. Nothing is started for no suites."""
    if not suites:
        return []
    from . import stage
    from .judge import judge as score
    from .run import run as run_suites

    progress = terminal.Progress()
    progress.say("Setting a stage ...")
    with stage.demo(suites):
        results = run_suites(suites, provider=provider, tell=progress)
        if judge:
            progress.say(f"Asking {judge} about rubrics ...")
            score(results, provider=judge)
    return results


def tell(found: Report, folder: Path | None) -> int:
    """Print the report and write it where asked; the command's exit code."""
    print(terminal.render(found))
    if folder:
        for path in report.write(found, folder):
            print(f"  {path}")
    return 1 if found.refused else 0
