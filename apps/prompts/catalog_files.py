"""The catalog: prompts as files in git, read strictly.

---
feature: chat                      what asks with it
description: Answers a question.
tier: standard                     optional: cheap, standard or strong; without it, routing decides
max_output_tokens: 1024            optional
variables:                         each a name that the body may use in braces, and must if it is required
  workspace: {type: line, description: The workspace's name, example: Acme, required: true}
output_schema: {type: object, …}   optional: a JSON schema of the answer
---
You answer questions for the people of {workspace} …
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .spec import BadPrompt, Spec, read_spec

FOLDER = Path(__file__).parent / "catalog"
FENCE = "---"
KNOWN = ("feature", "description", "tier", "max_output_tokens", "variables", "output_schema")


class BadCatalogFile(ValueError):
    """A file of the catalog that can't be read; its message names the file, the line, the fault and the mend."""

    def __init__(self, path: Path, fault: str, mend: str, *, line: int = 1) -> None:
        super().__init__(f"{path.name}:{line}: {fault}. {mend}")


@dataclass(frozen=True, slots=True)
class CatalogPrompt:
    name: str
    feature: str
    description: str
    body: str
    spec: Spec = field(default_factory=Spec)

    @property
    def checksum(self) -> str:
        return self.spec.checksum(self.body)


def read(path: Path) -> CatalogPrompt:
    """Front matter between two lines of ---, then the body. Raises BadCatalogFile."""
    lines = path.read_text(encoding="utf-8").splitlines()
    if not lines or lines[0].strip() != FENCE or FENCE not in (line.strip() for line in lines[1:]):
        raise BadCatalogFile(path, "has no front matter", "Begin it with a block between two lines of ---.")
    end = next(number for number, line in enumerate(lines[1:], start=1) if line.strip() == FENCE)
    front, at = front_matter(path, "\n".join(lines[1:end]))
    if not isinstance(front.get("feature"), str):
        raise BadCatalogFile(path, "names no feature", "Add a line such as `feature: chat`.", line=at.get("feature", 1))
    try:
        spec = read_spec(front)
    except BadPrompt as bad:
        raise BadCatalogFile(path, bad.fault, bad.mend, line=at.get(bad.entry, 1)) from bad
    rest = lines[end + 1 :]
    leading = next((number for number, line in enumerate(rest) if line.strip()), 0)
    body = "\n".join(rest).strip()
    try:
        spec.check(body)
    except BadPrompt as bad:
        raise BadCatalogFile(path, bad.fault, bad.mend, line=end + 1 + leading + (bad.line or 1)) from bad
    return CatalogPrompt(path.stem, front["feature"], str(front.get("description", "")), body, spec)


def front_matter(path: Path, text: str) -> tuple[dict[str, Any], dict[str, int]]:
    """Its values, and the file's line of each entry."""
    try:
        front, node = yaml.safe_load(text), yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        fault = getattr(error, "problem", None) or "it can't be read"
        line = place.line + 2 if place else 2
        raise BadCatalogFile(
            path, f"its front matter is not YAML ({fault})", "Write `name: value` lines.", line=line
        ) from error
    if not isinstance(front, dict) or not isinstance(node, yaml.MappingNode):
        raise BadCatalogFile(path, "its front matter holds no names", "Write `name: value` lines.", line=2)
    at = lines_of(node)
    for name in front:
        if name not in KNOWN:
            raise BadCatalogFile(path, f"{name!r} means nothing here", f"Known are {', '.join(KNOWN)}.", line=at[name])
    return front, at


def lines_of(node: yaml.MappingNode, above: str = "") -> dict[str, int]:
    """The file's line of each entry, such as "variables.size"."""
    found: dict[str, int] = {}
    for key, value in node.value:
        entry = f"{above}{key.value}"
        found[entry] = key.start_mark.line + 2
        if isinstance(value, yaml.MappingNode):
            found |= lines_of(value, f"{entry}.")
    return found


def read_all(folder: Path = FOLDER) -> list[CatalogPrompt]:
    """Every prompt of the catalog, by name. Raises BadCatalogFile."""
    return [read(path) for path in sorted(folder.glob("*.md"))]
