"""The catalog: prompts as files in git, read strictly."""

import hashlib
import string
from dataclasses import dataclass
from pathlib import Path

import yaml

FOLDER = Path(__file__).parent / "catalog"


class BadCatalogFile(ValueError):
    """A file of the catalog that can't be read; its message names the file, the fault and the mend."""

    def __init__(self, path: Path, fault: str, mend: str) -> None:
        super().__init__(f"{path.name}: {fault}. {mend}")


@dataclass(frozen=True, slots=True)
class CatalogPrompt:
    name: str
    feature: str
    description: str
    body: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.body.encode()).hexdigest()


def read(path: Path) -> CatalogPrompt:
    """Front matter between two lines of ---, then the body. Raises BadCatalogFile."""
    parts = path.read_text().split("---\n", 2)
    if len(parts) != 3 or parts[0].strip():
        raise BadCatalogFile(path, "has no front matter", "Begin it with a block between two lines of ---.")
    try:
        front = yaml.safe_load(parts[1])
    except yaml.YAMLError as error:
        raise BadCatalogFile(path, f"its front matter is not YAML ({error})", "Write `name: value` lines.") from error
    if not isinstance(front, dict) or not isinstance(front.get("feature"), str):
        raise BadCatalogFile(path, "names no feature", "Add a line such as `feature: chat`.")
    body = parts[2].strip()
    try:
        list(string.Formatter().parse(body))
    except ValueError as error:
        raise BadCatalogFile(path, f"its body doesn't parse ({error})", "Double each brace that is meant.") from error
    return CatalogPrompt(path.stem, front["feature"], str(front.get("description", "")), body)


def read_all(folder: Path = FOLDER) -> list[CatalogPrompt]:
    return [read(path) for path in sorted(folder.glob("*.md"))]
