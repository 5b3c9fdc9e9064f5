"""A suite: a YAML file of tests for one prompt, or of a corpus for search. See docs/evals.md."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from . import asserts, corpus, nodes, workspaces
from .asserts import Check
from .bad import ROOT, Bad, shown
from .corpus import Corpus
from .metrics import METRICS, OF_EVERY_ANSWER, OF_RETRIEVAL
from .nodes import Node

SUITES = Path(__file__).parent / "suites"
CATALOG = ROOT / "apps/prompts/catalog"
PROVIDERS = ("offline", "rehearsal")

HEADER = ("description", "prompt", "provider", "floors", "defaults", "tests")
RETRIEVAL_HEADER = ("description", "kind", "provider", "floors", "corpus")
FIELDS = ("description", "workspace", "vars", "assert")
NAME_CHARS = 120


@dataclass(frozen=True, slots=True)
class Test:
    """One call and what is asked of its output. `name` is the only one of its workspace in the suite."""

    __test__: ClassVar[bool] = False  # pytest

    path: Path
    line: int
    prompt: str
    workspace: str
    name: str
    vars: dict[str, Any]
    checks: tuple[Check, ...] = ()

    @property
    def key(self) -> str:
        """What the baseline knows it by."""
        return f"{self.workspace}: {self.name}"

    @property
    def may_answer(self) -> bool:
        """Whether an answer is wanted, and no refusal."""
        return all(check.type != "refuses" for check in self.checks)

    @property
    def metrics(self) -> set[str]:
        """What it measures, whatever comes out."""
        if self.prompt == "":
            return {*OF_RETRIEVAL} - (set() if self.vars["answer"] else {"context"})
        found = {asserts.KINDS[check.type].metric for check in self.checks}
        if self.prompt == "answer" and self.may_answer:
            found |= {*OF_EVERY_ANSWER} | (
                {"context"} if any(check.type in asserts.FOUND for check in self.checks) else set()
            )
        return found

    def given(self, *names: str) -> dict[str, Any]:
        """Its variables. Raises Bad unless they are those."""
        if {*names} != self.vars.keys():
            has, wants = ", ".join(self.vars) or "none", ", ".join(names) or "none"
            raise Bad.at(self.path, self.line, f"its variables are {has}", f"The prompt {self.prompt!r} takes {wants}.")
        return self.vars


@dataclass(frozen=True, slots=True)
class Suite:
    """`floors` are the least means, 0 to 1, by metric. Without a prompt it is about search in its corpus."""

    path: Path
    name: str
    description: str
    prompt: str
    provider: str
    floors: dict[str, float]
    tests: tuple[Test, ...]
    corpus: Corpus | None = None
    checksum: str = ""

    @property
    def metrics(self) -> list[str]:
        """What its tests measure, in the order of METRICS."""
        found = {metric for test in self.tests for metric in test.metrics}
        return [metric for metric in METRICS if metric in found]


def read(path: Path) -> Suite:
    """Raises Bad: the file, the line, the fault and the mend."""
    root = nodes.read(path)
    retrieval = "kind" in root.fields()
    fields = root.fields(RETRIEVAL_HEADER if retrieval else HEADER, required=("description",))
    prompt, tests, found = read_retrieval(root, fields) if retrieval else read_tests(root, fields)
    suite = Suite(
        path=path,
        name=path.stem,
        description=fields["description"].text(),
        prompt=prompt,
        provider=provider_of(fields.get("provider")),
        floors={},
        tests=tests,
        corpus=found,
        checksum=checksum(tests, found),
    )
    return replace(suite, floors=floors_of(fields.get("floors"), suite.metrics))


def read_all(names: Sequence[str] = ()) -> list[Suite]:
    """The suites of those names or paths, else all that are shipped. Raises Bad."""
    if not names:
        return [read(path) for path in sorted(SUITES.glob("*.yaml"))]
    paths = [Path(name) if name.endswith((".yaml", ".yml")) else SUITES / f"{name}.yaml" for name in names]
    for name, path in zip(names, paths, strict=True):
        if not path.is_file():
            there = ", ".join(sorted(each.stem for each in SUITES.glob("*.yaml")))
            raise Bad(shown(path), f"there is no suite {name!r}", f"There are: {there}; or name a file.")
    return [read(path) for path in paths]


def read_retrieval(root: Node, fields: dict[str, Node]) -> tuple[str, tuple[Test, ...], Corpus | None]:
    if fields["kind"].value() != "retrieval":
        raise fields["kind"].bad(f"the kind is {fields['kind'].value()!r}", "Write `retrieval`, or leave it out.")
    root.fields(required=("corpus",))
    found = corpus.read(fields["corpus"])
    tests = tuple(
        Test(
            path=found.folder / "queries.jsonl",
            line=query.line,
            prompt="",
            workspace=found.name,
            name=query.text,
            vars={"question": query.text, "answer": query.answer, "relevant": sorted(query.relevant)},
        )
        for query in found.queries
    )
    return "", tests, found


def read_tests(root: Node, fields: dict[str, Node]) -> tuple[str, tuple[Test, ...], Corpus | None]:
    root.fields(required=("prompt", "tests"))
    prompt = fields["prompt"].text()
    if not (CATALOG / f"{prompt}.md").is_file():
        there = ", ".join(sorted(path.stem for path in CATALOG.glob("*.md")))
        raise fields["prompt"].bad(f"there is no prompt {prompt!r}", f"The catalog has: {there}.")
    defaults = fields["defaults"].fields(("workspace", "assert")) if "defaults" in fields else {}
    entries = fields["tests"].items()
    if not entries:
        raise fields["tests"].bad("there are no tests", "Add at least one.")
    tests: list[Test] = []
    for entry in entries:
        test = read_test(entry, prompt, defaults)
        if any(other.key == test.key for other in tests):
            raise entry.bad(f"a second test is named {test.name!r}", "Give one of them a `description:` of its own.")
        tests.append(test)
    return prompt, tuple(tests), None


def read_test(entry: Node, prompt: str, defaults: dict[str, Node]) -> Test:
    fields = entry.fields(FIELDS)
    workspace = fields.get("workspace") or defaults.get("workspace")
    if workspace is None:
        raise entry.bad("the test names no workspace", "Add `workspace: acme`, here or under `defaults:`.")
    known = sorted(workspaces.folders())
    if workspace.value() not in known:
        raise workspace.bad(f"there is no workspace {workspace.value()!r}", f"There are: {', '.join(known)}.")
    variables = {name: node.value() for name, node in fields["vars"].fields().items()} if "vars" in fields else {}
    checks = tuple(asserts.read(node) for of in (defaults, fields) if "assert" in of for node in of["assert"].items())
    if not checks:
        raise entry.bad("the test asserts nothing", "Add `assert:` with what its output must be.")
    name = fields["description"].text() if "description" in fields else name_of(variables)
    if not name:
        raise entry.bad("the test has no name", "Add a `description:`.")
    return Test(entry.path, entry.line, prompt, workspace.value(), name, variables, checks)


def name_of(variables: dict[str, Any]) -> str:
    """The first of its words, on one line."""
    said = next((value for value in variables.values() if isinstance(value, str)), "")
    return " ".join(said.split())[:NAME_CHARS]


def provider_of(node: Node | None) -> str:
    provider = node.value() if node else "offline"
    if node and provider not in PROVIDERS:
        raise node.bad(
            f"the provider is {provider!r}", f"Write one of: {', '.join(PROVIDERS)}. --provider takes others."
        )
    return str(provider)


def floors_of(node: Node | None, measured: Sequence[str]) -> dict[str, float]:
    floors = {}
    for name, floor in (node.fields() if node else {}).items():
        if name not in METRICS:
            raise floor.bad(f"there is no metric {name!r}", f"There are: {', '.join(METRICS)}.")
        if name not in measured:
            raise floor.bad(f"no test of this suite measures {name!r}", f"Its tests measure: {', '.join(measured)}.")
        floors[name] = floor.number(most=1)
    return floors


def checksum(tests: Sequence[Test], found: Corpus | None) -> str:
    """Names what is asked, of which documents. Two measurements are comparable if theirs are the same."""
    said: list[Any] = [found.checksum] if found else []
    said += [[test.key, test.prompt, test.vars, [check.said() for check in test.checks]] for test in tests]
    digest = hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode())
    for workspace in sorted({test.workspace for test in tests}) if not found else ():
        folder = workspaces.folders()[workspace]
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                digest.update(f"{workspace}/{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]
