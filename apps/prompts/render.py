"""A prompt's body with its variables filled in. No attribute or item access, no format, no code: names only."""

import string

from .spec import fields


class UnknownVariable(ValueError):
    def __init__(self, names: set[str]) -> None:
        super().__init__(f"The prompt uses {', '.join(sorted(names))}, which nobody fills in.")
        self.names = names


def variables(body: str) -> set[str]:
    """The names in a body's braces. Raises BadPrompt if those hold anything else."""
    return {name for _, name in fields(body)}


def render(body: str, **values: str) -> str:
    """Raises UnknownVariable if the body names anything that isn't in `values`, BadPrompt if it isn't a name at all."""
    if unknown := variables(body) - values.keys():
        raise UnknownVariable(unknown)
    parts = []
    for literal, name, _, _ in string.Formatter().parse(body):
        parts.append(literal)
        if name is not None:
            parts.append(values[name])
    return "".join(parts)
