"""evals/baseline.json: what each test scored when it was last written, for the gate to compare with.

    {"format": 1,
     "suites": {"handbooks": {"provider": "offline", "checksum": "…",
                              "tests": {"acme: How many days …?": {"correct": 1, "cited": 1}}}}}

It holds what is the same on every machine: no latencies, nothing that a model judged.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from . import nodes
from .bad import ROOT, Bad, shown
from .metrics import METRICS
from .nodes import Node
from .results import SuiteResult
from .suite import Suite
from .touched import git, left_at

PATH = Path(__file__).parent / "baseline.json"
FORMAT = 1
DECIMALS = 4
LEAST_SHOWN = 0.0005  # of a mean
ANEW = "Write it anew: python -m evals baseline {}"


@dataclass(frozen=True, slots=True)
class Entry:
    """What a suite scored with a provider, and which tests of which documents that were."""

    provider: str
    checksum: str
    tests: dict[str, dict[str, float]]
    line: int = 0

    def scores(self, metric: str) -> dict[str, float]:
        return {key: scores[metric] for key, scores in self.tests.items() if metric in scores}

    def mean(self, metric: str) -> float | None:
        scores = self.scores(metric).values()
        return sum(scores) / len(scores) if scores else None


def read(path: Path = PATH) -> dict[str, Entry]:
    """Its entries by suite. Raises Bad."""
    if not path.is_file():
        raise Bad(shown(path), "there is no baseline", "Write one: python -m evals baseline")
    fields = nodes.read(path).fields(("format", "suites"), required=("format", "suites"))
    if fields["format"].value() != FORMAT:
        raise fields["format"].bad(f"has the format {fields['format'].value()!r}", ANEW.format("").strip())
    return {name: read_entry(node) for name, node in fields["suites"].fields().items()}


def read_entry(node: Node) -> Entry:
    names = ("provider", "checksum", "tests")
    fields = node.fields(names, required=names)
    tests = {}
    for key, scores in fields["tests"].fields().items():
        tests[key] = {metric: score.number(most=1) for metric, score in scores.fields([*METRICS]).items()}
    return Entry(fields["provider"].text(), fields["checksum"].text(), tests, node.line)


def require(entries: dict[str, Entry], suites: Iterable[Suite], *, path: Path = PATH) -> None:
    """Raises Bad unless each suite has an entry, of the same tests and documents as now."""
    for suite in suites:
        entry = entries.get(suite.name)
        anew = ANEW.format(suite.name)
        if entry is None:
            raise Bad(shown(path), f"has nothing of the suite {suite.name!r}", anew)
        if entry.provider != suite.provider:
            raise Bad.at(path, entry.line, f"what it has of {suite.name!r} is {entry.provider}'s", anew)
        if entry.checksum != suite.checksum:
            what = "another corpus" if suite.corpus else "other tests, or other documents of the demo"
            raise Bad.at(path, entry.line, f"what it has of {suite.name!r} is from {what}", anew)


def require_no_strangers(entries: dict[str, Entry], suites: Iterable[Suite], *, path: Path = PATH) -> None:
    """Raises Bad for an entry of a suite that is gone."""
    for name in sorted(entries.keys() - {suite.name for suite in suites}):
        raise Bad.at(path, entries[name].line, f"there is no suite {name!r}", ANEW.format("").strip())


def entry_of(result: SuiteResult) -> Entry:
    compared = [metric for metric in result.metrics if METRICS[metric].is_compared]
    tests = {test.key: {m: kept(test.scores[m]) for m in compared if m in test.scores} for test in result.tests}
    return Entry(result.provider, result.suite.checksum, tests)


def kept(score: float) -> float:
    """As it is written: what is compared with it is rounded likewise."""
    return round(score, DECIMALS)


def write(entries: dict[str, Entry], path: Path = PATH) -> None:
    """A line a test, so that a change can be read in its diff."""
    blocks = []
    for name, entry in sorted(entries.items()):
        tests = ",\n".join(f"        {quoted(key)}: {numbers(scores)}" for key, scores in entry.tests.items())
        about = f'      "provider": {quoted(entry.provider)},\n      "checksum": {quoted(entry.checksum)},'
        blocks.append(f'    {quoted(name)}: {{\n{about}\n      "tests": {{\n{tests}\n      }}\n    }}')
    suites = ",\n".join(blocks)
    path.write_text(f'{{\n  "format": {FORMAT},\n  "suites": {{\n{suites}\n  }}\n}}\n')


def merged(before: dict[str, Entry], results: Sequence[SuiteResult], *, suites: Iterable[Suite]) -> dict[str, Entry]:
    """What was there, of suites that still are, with what was measured now."""
    there = {suite.name for suite in suites}
    return {name: entry for name, entry in before.items() if name in there} | {
        result.name: entry_of(result) for result in results
    }


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def numbers(scores: dict[str, float]) -> str:
    return json.dumps({metric: int(score) if score in (0, 1) else score for metric, score in scores.items()})


def moved(since: str, now: dict[str, Entry]) -> list[str]:
    """In sentences, what the change since a revision does to the baseline itself. Raises Bad for no revision."""
    base = left_at(since)
    name = str(PATH.relative_to(ROOT))
    if not git("diff", "--name-only", base, "--", name).strip() or not git("ls-tree", base, "--", name).strip():
        return []
    try:
        with NamedTemporaryFile("w", suffix=".json") as file:
            file.write(git("show", f"{base}:{name}"))
            file.flush()
            before = read(Path(file.name))
    except Bad:
        return [f"{name} changes here, and the one before can't be read."]
    return [f"{name} changes here: what follows is compared with the new one.", *differences(before, now)]


def differences(before: dict[str, Entry], now: dict[str, Entry]) -> list[str]:
    """In sentences: what is gone, and means that moved."""
    notes = [
        f"The suite {suite} is gone, with {len(before[suite].tests)} tests." for suite in before if suite not in now
    ]
    for suite in sorted(before.keys() & now.keys()):
        if gone := before[suite].tests.keys() - now[suite].tests.keys():
            notes.append(
                f"Of {suite}, {len(gone)} of {len(before[suite].tests)} tests are gone, such as {min(gone)!r}."
            )
        for metric in METRICS:
            then, after = before[suite].mean(metric), now[suite].mean(metric)
            if then is not None and after is None:
                notes.append(f"Its {metric} of {suite} is gone; it was {then:.1%}.")
            elif then is not None and after is not None and abs(after - then) >= LEAST_SHOWN:
                notes.append(f"Its {metric} of {suite} goes from {then:.1%} to {after:.1%}.")
    return notes
