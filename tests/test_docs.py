"""Documents that name code are kept true: every name they mention is imported."""

import re
from importlib import import_module
from pathlib import Path

import pytest

from apps import tenants

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
NAME = re.compile(r"`((?:apps|config)(?:\.\w+)+)`")


def resolve(name: str) -> object:
    """The object behind a dotted name. Raises ImportError or AttributeError."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise ImportError(name)


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_every_name_a_document_mentions_exists(path: Path) -> None:
    for name in NAME.findall(path.read_text()):
        resolve(name)


def test_the_path_of_a_message_names_its_steps() -> None:
    assert len(set(NAME.findall((DOCS / "one-message.md").read_text()))) > 25


def test_the_map_of_tenants_names_every_module() -> None:
    folder = ROOT / "apps/tenants"
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}

    words = set(re.findall(r"[a-z_]+", tenants.__doc__ or ""))

    assert modules <= words, f"Name them in {folder / '__init__.py'}: {sorted(modules - words)}"
