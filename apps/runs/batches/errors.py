"""What is wrong with a file or a batch, for the person who made it."""

from collections.abc import Iterable
from dataclasses import dataclass

MOST_FAULTS = 20


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing that is wrong, and what to do. `row`: of the file's data, from 1; `column`: its name."""

    message: str
    action: str
    row: int | None = None
    column: str = ""

    def __str__(self) -> str:
        places = []
        if self.row is not None:
            places.append(f"row {self.row:,}")
        if self.column:
            places.append(f"column “{self.column}”")
        where = ", ".join(places)
        said = f"{where}: {self.message}" if where else self.message
        return f"{said[0].upper()}{said[1:]} {self.action}"


class BadFile(Exception):
    """A file that no batch can be made of, or rows that can't be sent. `flaws` are the first of what is wrong."""

    def __init__(self, *flaws: Flaw) -> None:
        self.flaws = flaws
        super().__init__("\n".join(map(str, flaws)))

    @classmethod
    def of(cls, flaws: Iterable[Flaw]) -> "BadFile":
        return cls(*list(flaws)[:MOST_FAULTS])


class Refused(ValueError):
    """What can't be done with a batch now; its text says why, and what can."""
