"""Orders to a model that stand in a text: what a model obeys that wasn't told that texts are data."""

import re
from dataclasses import dataclass

SETS_ASIDE = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b[^.!?\n]{0,60}\b(?:instructions?|rules?|prompt|above|before|everything)",
    re.I,
)
SPOKEN_TO = re.compile(r"\b(?:assistants?|AI|language models?|chat ?bots?|whoever answers|system)\b", re.I)
QUOTED = re.compile(
    r"\b(?:reply|respond|answer|say|write|print|output|add|append|end|begin|start|finish|close|conclude|tell)\b"
    r"[^.!?\n\"“”']{0,60}[\"“']([^\"“”\n]{2,200}?)[\"”'](?!\w)",
    re.I,
)
INSTEAD = re.compile(r"\b(?:only|instead|nothing else|nothing but|to every question|whatever is asked)\b", re.I)
LEAK = re.compile(r"\b(?:repeat|reveal|print|show|output)\b[^.!?\n]{0,40}\b(?:instructions|prompt|rules)\b", re.I)
UNCITED = re.compile(r"\b(?:don't|do not|never|without)\b[^.!?\n]{0,30}\b(?:cite|citations?|sources?|numbers)\b", re.I)
RATING = re.compile(
    r"\b(?:rate|score|grade|give|award|judge)\b[^.!?\n]{0,60}?(?<![\d.])(1(?:\.0+)?|0(?:\.\d+)?|10|100)(?![\d%]|\.\d)",
    re.I,
)
TIER = re.compile(
    r"\b(?:classify|route|send|assign|reply|answer|use|choose|pick|select|treat|tier)\b"
    r"[^.!?\n]{0,60}?[\"“' ](cheap|standard|strong)\b",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Orders:
    """`words` are to be said, `instead` of an answer or behind it."""

    words: str = ""
    instead: bool = False
    leaks: bool = False
    drops_citations: bool = False

    def __bool__(self) -> bool:
        return bool(self.words or self.leaks or self.drops_citations)


def orders_in(text: str) -> Orders:
    """What a text orders whoever answers. A text that neither addresses a model nor sets its rules aside has none."""
    if not (SETS_ASIDE.search(text) or SPOKEN_TO.search(text)):
        return Orders()
    quoted = QUOTED.search(text)
    return Orders(
        words=quoted[1].strip() if quoted else "",
        instead=bool(SETS_ASIDE.search(text) or INSTEAD.search(text)),
        leaks=bool(LEAK.search(text)),
        drops_citations=bool(UNCITED.search(text)),
    )
