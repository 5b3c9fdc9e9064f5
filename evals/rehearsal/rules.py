"""The rules that a prompt sets.

followed(prompt) -> frozenset[Rule]       what it asks for; of two sentences that disagree the later counts
"""

from collections.abc import Iterator

from apps.runs.gateway.providers.sentences import sentences, split

from .rule import Rule
from .wordings import WORDINGS

__all__ = ["Rule", "followed", "stated"]


def followed(prompt: str) -> frozenset[Rule]:
    rules: set[Rule] = set()
    for sentence in stated(prompt):
        for rule, wording in WORDINGS.items():
            if wording.takes_back(sentence):
                rules.discard(rule)
            elif wording.asks(sentence):
                rules.add(rule)
    return frozenset(rules)


def stated(prompt: str) -> Iterator[str]:
    """The prompt's sentences, with lines joined that were only wrapped."""
    for piece in sentences(prompt.replace("’", "'")):
        yield from split(piece.text)
