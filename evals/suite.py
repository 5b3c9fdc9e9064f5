"""A suite: a YAML file of questions, and of what each answer must hold."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

FLOORS = {"correct", "cited", "refused"}


class BadSuite(ValueError):
    """A suite that can't be read; its message names the file, the case and the mend."""

    def __init__(self, path: Path, where: str, fault: str, mend: str) -> None:
        super().__init__(f"{path}: {where}: {fault}. {mend}")


@dataclass(frozen=True, slots=True)
class Case:
    """`contains` is looked for in the answer in any case, `cites` is a file name; or the answer must refuse."""

    workspace: str
    question: str
    contains: str = ""
    cites: str = ""
    refuses: bool = False


@dataclass(frozen=True, slots=True)
class Suite:
    """`floors` are the least shares, 0 to 1, of answers that are correct, cited and rightly refused."""

    name: str
    description: str
    floors: dict[str, float]
    cases: list[Case] = field(default_factory=list)


def read(path: Path) -> Suite:
    """Raises BadSuite."""
    try:
        data: Any = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise BadSuite(path, "the file", f"is not YAML ({error})", "Mend it there.") from error
    if not isinstance(data, dict) or not isinstance(data.get("cases"), list):
        raise BadSuite(path, "the file", "has no list of cases", "Add `cases:` with one entry a question.")
    if unknown := set(data.get("floors", {})) - FLOORS:
        raise BadSuite(path, "floors", f"{sorted(unknown)} is not measured", f"Use {sorted(FLOORS)}.")
    cases = []
    for number, entry in enumerate(data["cases"], start=1):
        try:
            cases.append(Case(**entry))
        except TypeError as error:
            known = ", ".join(Case.__slots__)
            raise BadSuite(path, f"case {number}", f"can't be read ({error})", f"A case has {known}.") from error
    return Suite(path.stem, str(data.get("description", "")), data.get("floors", {}), cases)
