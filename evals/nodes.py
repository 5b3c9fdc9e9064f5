"""YAML, and JSON as a part of it, with the line of everything, so that a fault has a place."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .bad import Bad, shown

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Node:
    """A value in a file. The readers raise Bad at its line."""

    path: Path
    node: yaml.Node
    name: str = "the file"

    @property
    def line(self) -> int:
        return self.node.start_mark.line + 1

    def bad(self, fault: str, mend: str) -> Bad:
        return Bad.at(self.path, self.line, fault, mend)

    def value(self) -> Any:
        """As plain Python objects."""
        try:
            for _ in self.walk():
                pass  # doubled keys anywhere below are faults, too
        except RecursionError as error:
            raise self.bad(f"{self.name} contains itself", "Write it out, without an alias.") from error
        loader = Loader("")
        try:
            return loader.construct_document(self.node)
        except yaml.YAMLError as error:
            raise self.bad(f"{self.name} can't be read ({summary(error)})", "Mend it there.") from error
        finally:
            loader.dispose()

    def walk(self) -> Iterator["Node"]:
        yield self
        if isinstance(self.node, yaml.MappingNode):
            for child in self.fields().values():
                yield from child.walk()
        elif isinstance(self.node, yaml.SequenceNode):
            for child in self.items():
                yield from child.walk()

    def fields(self, known: Sequence[str] = (), *, required: Sequence[str] = ()) -> dict[str, "Node"]:
        """The entries of a mapping, by name. With `known` names, others are faults."""
        if not isinstance(self.node, yaml.MappingNode):
            raise self.bad(f"{self.name} is no mapping", "Write `name: value` pairs.")
        found: dict[str, Node] = {}
        for key, value in self.node.value:
            name = str(key.value)
            at_key = Node(self.path, key, name)
            if name in found:
                raise at_key.bad(f"{name!r} stands twice in {self.name}", "Keep one of the two.")
            if known and name not in known:
                raise at_key.bad(f"{self.name} has no {name!r}", f"Known are: {', '.join(known)}.")
            found[name] = Node(self.path, value, name)
        for name in required:
            if name not in found:
                raise self.bad(f"{self.name} lacks `{name}`", f"Add `{name}:` to it.")
        return found

    def items(self) -> list["Node"]:
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.bad(f"{self.name} is no list", "Write one entry a line, each after a dash.")
        return [
            Node(self.path, node, f"entry {number} of {self.name}") for number, node in enumerate(self.node.value, 1)
        ]

    def text(self) -> str:
        """Words that aren't empty."""
        value = self.value()
        if not isinstance(value, str) or not value.strip():
            raise self.bad(f"{self.name} is no text", "Write words; put quotes around what looks like a number.")
        return value

    def number(self, *, least: float = 0, most: float = float("inf")) -> float:
        value = self.value()
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            bounds = f"from {least:g} to {most:g}" if most < float("inf") else f"of at least {least:g}"
            raise self.bad(f"{self.name} is {value!r}", f"Write a number {bounds}.")
        return float(value)


def read(path: Path) -> Node:
    """The whole file. Raises Bad."""
    try:
        text = path.read_text()
        node = yaml.compose(text, Loader=Loader)
    except FileNotFoundError as error:
        raise Bad(shown(path), "there is no such file", "Name one that is there.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise Bad(shown(path), f"can't be read ({error})", "It must be a text file in UTF-8.") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = min(mark.line, text.rstrip().count("\n")) + 1 if mark else 1  # what lacks its end breaks behind it
        kind = "JSON" if path.suffix == ".json" else "YAML"
        raise Bad.at(path, line, f"is not {kind} ({summary(error)})", "Mend it there.") from error
    if node is None:
        raise Bad.at(path, 1, "is empty", "Begin it with `description:`; docs/evals.md shows a whole one.")
    return Node(path, node)


def summary(error: yaml.YAMLError) -> str:
    return str(getattr(error, "problem", None) or error).partition("\n")[0]
