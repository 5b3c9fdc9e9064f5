"""What is wrong with a file of ours, where, and how to mend it."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class Bad(ValueError):
    """Something that can't be read or run as it is. Its message is all that a person needs: place, fault and mend."""

    def __init__(self, where: str, fault: str, mend: str) -> None:
        super().__init__(f"{where}: {fault}. {mend}")

    @classmethod
    def at(cls, path: Path, line: int, fault: str, mend: str) -> "Bad":
        return cls(f"{shown(path)}, line {line}", fault, mend)


def shown(path: Path) -> str:
    """A path as people write it: from the checkout's root if it is inside."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
