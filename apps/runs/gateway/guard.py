"""What can be told of a text before and after a model reads it: hidden characters, signs of injection, a leak.

Detection is telemetry. It misses most of what is worded like an ordinary request, so nothing relies on it: passages
reach a model as data between unguessable markers, no answer acts, and no page loads what an answer names.

Everything here takes time in proportion to the text, whatever the text is.
"""

import re
from dataclasses import dataclass

# --- Characters that nobody sees.

JOINED = re.compile("[\u0600-\u1fff\u2190-\ufdff\ufe10-\ufefe\uff00-\U000dffff]")  # scripts and pictures with joiners
PICTURED = re.compile("[#*0-9\u00a9-\ufdff\ufe10-\U000dffff]")  # what a selector may follow
SELECTED_OR_JOINED = re.compile("[\ufe00-\ufe0f]?[\u200c\u200d]?")
REGION = re.compile("[\U000e0030-\U000e007a]{1,6}\U000e007f")
BLACK_FLAG = "\U0001f3f4"  # which a region makes that of England
INVISIBLE = (
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"  # controls
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\ufff9-\ufffb"  # blanks and fillers
    "\u200b-\u200f\u2060-\u206f\ufeff"  # zero width, joiners, marks and isolates of direction
    "\u202a-\u202e"  # overrides of direction
    "\ufe00-\ufe0f\U000e0100-\U000e01ef"  # selectors, each of which can carry a byte
    "\U000e0000-\U000e007f"  # a whole invisible ASCII
    "\ud800-\udfff"  # halves of characters
)
UNSEEN = re.compile(f"[{INVISIBLE}]+")
TAGS = {code: code - 0xE0000 for code in range(0xE0020, 0xE007F)}
OVERRIDES = frozenset("\u202d\u202e")
FEW = 4  # stray ones come along when a page or a PDF is copied
MANY = 32


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A text without what nobody sees. `hidden` is what the invisible characters spelt, where they spell."""

    text: str
    hidden: str
    has_hidden_text: bool


def clean(text: str) -> Cleaned:
    """Take out control, zero-width, direction-overriding and tag characters, except where a script or an emoji needs
    them. Text was hidden in them if they spell, come in runs, are very many, or turn what is read around."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
    if text.isascii() and text.isprintable():
        return Cleaned(text, "", False)
    runs: list[str] = []

    def drop(match: re.Match[str]) -> str:
        run, before, after = match[0], text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]
        if is_needed(run, before, after):
            return run
        runs.append(run)
        return ""

    cleaned = UNSEEN.sub(drop, text)
    if not runs:
        return Cleaned(cleaned, "", False)
    dropped = "".join(runs)
    hidden = "".join(character for character in dropped.translate(TAGS) if " " <= character <= "~")
    longest = max(map(len, runs), default=0)
    carries = len(hidden) > 1 or longest > FEW or len(dropped) > MANY or not OVERRIDES.isdisjoint(dropped)
    return Cleaned(cleaned, hidden, carries)


def is_needed(run: str, before: str, after: str) -> bool:
    """Whether what isn't seen belongs to what is: to an emoji of several, or between letters that need it."""
    if before == BLACK_FLAG:
        return REGION.fullmatch(run) is not None
    if len(run) > 2 or not SELECTED_OR_JOINED.fullmatch(run):
        return False
    joins = run[-1] in "\u200c\u200d"
    base = PICTURED if len(run) == 2 or not joins else JOINED
    return base.fullmatch(before) is not None and (not joins or JOINED.fullmatch(after) is not None)


# --- Data between markers.

CONTROL = re.compile(r"<(?=\|[\w-]{1,40}\|>|/?(?:start|end)_of_turn>)|\[(?=/?INST\])|<(?=</?SYS>>)", re.IGNORECASE)
OUR_MARKERS = re.compile(r"<(?=\s{0,8}/?\s{0,8}passages?\b)", re.IGNORECASE)


def defuse(text: str) -> str:
    """Break the marks by which models are told who speaks, such as <|im_start|>: some servers obey them anywhere."""
    return CONTROL.sub(lambda match: "‹" if match[0] == "<" else "⁅", text)


def as_data(text: str, mark: str) -> str:
    """A text that can stand between markers made with `mark`, and neither close them nor pass for them."""
    text = OUR_MARKERS.sub("‹", defuse(text))
    return re.sub(re.escape(mark), "…", text, flags=re.IGNORECASE)


# --- The canary: a word of the system prompt that nobody else knows.


class Leaked(Exception):
    """An answer began to say the canary: the model was talked into giving its prompt away."""


class Watcher:
    """Lets an answer through piece by piece, and keeps back only an end that may be the beginning of the canary.

    What stands between its letters (spaces, dashes, markup, capitals) doesn't hide it. `canary` is of ASCII letters
    and digits; an empty one is never found.
    """

    def __init__(self, canary: str) -> None:
        self._canary = canary.casefold()
        self._fallback = fallbacks(self._canary)
        self._kept = ""  # from the first letter that may be the canary's on
        self._at: list[int] = []  # where in `_kept` each matched letter is

    def feed(self, piece: str) -> str:
        """What may be shown now. Raises Leaked at the canary's last letter."""
        if not self._canary:
            return piece
        text = self._kept + piece
        for index in range(len(self._kept), len(text)):
            letter = text[index]
            if not letter.isalnum():
                continue
            letter = letter.casefold()
            while self._at and letter != self._canary[len(self._at)]:
                shorter = self._fallback[len(self._at) - 1]
                self._at = self._at[len(self._at) - shorter :]
            if letter == self._canary[len(self._at)]:
                self._at.append(index)
            if len(self._at) == len(self._canary):
                raise Leaked
            if self._at and index - self._at[0] > LONGEST_LEAK:
                self._at.clear()
        begins = self._at[0] if self._at else len(text)
        self._kept = text[begins:]
        self._at = [index - begins for index in self._at]
        return text[:begins]

    def end(self) -> str:
        """What was kept back, now that nothing follows it."""
        kept, self._kept, self._at = self._kept, "", []
        return kept


LONGEST_LEAK = 400  # further apart the letters are chance


def fallbacks(word: str) -> list[int]:
    """For each beginning of `word`, how long its longest end is that `word` begins with too (Knuth, Morris, Pratt)."""
    lengths = [0] * len(word)
    for index in range(1, len(word)):
        length = lengths[index - 1]
        while length and word[index] != word[length]:
            length = lengths[length - 1]
        lengths[index] = length + (word[index] == word[length])
    return lengths


# --- Answers.

CITATION = re.compile(r"(?<!\w)\[(\d{1,2}(?:, ?\d{1,2})*)\](?!\()")  # [2], and [1, 3] as some models write


def cites_unknown(text: str, passages: int) -> bool:
    """Whether a mark such as [7] points at none of the passages that were given, which are numbered from 1."""
    numbers = (int(number) for mark in CITATION.findall(text) for number in mark.split(","))
    return any(not 1 <= number <= passages for number in numbers)
