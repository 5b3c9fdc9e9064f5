"""A secret on its way through the code."""

from typing import NoReturn


class Secret:
    """Holds a text and shows no more of it than its last four characters, whoever prints, logs or inspects it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    @property
    def last_four(self) -> str:
        """Empty for a secret so short that four characters would give it away."""
        return self._text[-4:] if len(self._text) >= 12 else ""

    def __bool__(self) -> bool:
        return bool(self._text)

    def __repr__(self) -> str:
        return f"•••• {self.last_four}".rstrip()

    def __reduce__(self) -> NoReturn:
        raise TypeError("A secret is neither pickled nor copied.")
