"""What two questions must share, beyond their meaning, for one's answer to be the other's. No models, no Django.

Embeddings hardly see a "not", a number, a name, or who does what to whom: "allowed" and "not allowed" lie at .94. So
`terms` takes from a question every word that can change its answer, in its order and in one spelling, and two
questions agree when theirs are the same. What may differ is little and named here: "the" and "my", politeness,
punctuation, plurals, contractions, "What is the X of Y?" and "What is Y's X?", "ten" and "10", "per year" and "yearly",
I and we. A word that isn't known here must be in both, so what nobody thought of is a miss and not a false answer.
"""

import re
import unicodedata
from collections.abc import Iterator

from .words import (
    LEANS,
    NAMES_TOO,
    NOT_PLURAL,
    NUMBERS,
    ORDINALS,
    PERIOD,
    POLITENESS,
    QUESTION_WORDS,
    SAME,
    SILENT,
    TENS,
    UNITS,
)

VERSION = 1  # part of every cached answer's scope; count it up when `terms` changes
LONGEST_CHARS = 1_000

QUOTED = re.compile(r'"([^"]+)"|`([^`]+)`')
WORD = re.compile(
    r"\0\d+\0"  # something quoted
    r"|(?:(?<![^\s($€£])-)?(?<!\w)\d+(?:[.,:/-]\d+)*\w*°?"  # a number, a date, a time, 5km
    r"|°[CF]\b"
    r"|\w+(?:[.:/@&'+-]\w+)*[+#]*"
    r"|[^\w\s.,;:!?'\"()\[\]{}…-]"  # a sign: <, %, €
)
LETTERS = re.compile(r"[^\W\d_]{2,}")
ENDINGS: dict[str, list[str]] = {
    "": [],
    "s": ["is"],
    "re": ["are"],
    "ve": ["have"],
    "m": ["am"],
    "ll": ["will"],
    "d": ["would"],
}
COMMON = SILENT | QUESTION_WORDS | SAME.keys() | NAMES_TOO | {"a", "must", "should", "would", "did", "had"}
THOUSANDS = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
WITH_UNIT = re.compile(r"(-?\d[\d.,]*)([a-z]+)")
NOT = re.compile(r"(ca|wo|sha|do|does|did|is|are|was|were|has|have|had|could|would|should|must|need|might)n'?t")
WRITTEN = re.compile(rf"\b({'|'.join(TENS)})(?: ({'|'.join(list(NUMBERS)[1:10])}))?\b|\b({'|'.join(NUMBERS)})\b")
TYPOGRAPHY = str.maketrans({**dict.fromkeys("‘’ʼ´", "'"), **dict.fromkeys("“”„«»", '"'), **dict.fromkeys("−–—‐‑", "-")})
AUXILIARY = r"(?:am|is|are|was|were|do|does|did|can|could|may|must|should|will|would|have|has|we|i)\b"
PHRASES = [
    (re.compile(pattern), instead)
    for pattern, instead in (
        (r"^(?:am|are) (i|we) (?:allowed|permitted) to\b", r"can \1"),
        (r"\bdo (i|we) (?:have|need) to\b", r"must \1"),
        (r"\b(?:have|has|need|needs) to\b", "must"),
        (r"\b(?:which|what) of the\b", "what"),
        (r"\bwho is it that\b", "who"),
        (r"\b(?:at )?what time\b", "when"),
        (r"^(what|which|who|where|when|how \w+) (.+) (is|are)$", r"\1 \3 \2"),  # as behind "tell me"
        (r"\b(how|where|when) (?:can|could|do|may) (?:i|we)\b", r"\1"),
        (r"\bhow to\b", "how"),
        (r"\bdo (i|we)\b", r"\1"),
        (r"^(how long )(?:do|does) (.+) last$", r"\1is \2"),
        (r"^what (?:is|was) the number of\b", "how many"),
        # Only where no verb can be among the words that change places: "does the client of Bob pay" is another question
        # than "does Bob pay the client".
        (r"^(what|who) (is|are|was|were) the (\S+(?: \S+)??) of (?:the )?(\S+(?: \S+)?)$", r"\1 \2 \4 \3"),
        (rf"\b(how (?:many|much)) (\S+) of (?:the )?(\S+(?: \S+)??) (?={AUXILIARY})", r"\1 \3 \2 "),
        (r"\bper cent\b", "percent"),
        (rf"\b(?:an?|each|every) ({PERIOD})\b", r"per \1"),
        (r"\bannual(?:ly)?\b", "per year"),
        (r"\bdaily\b", "per day"),
        (rf"\b({PERIOD})ly\b", r"per \1"),
        (r"([$€£]) (\S+)", r"\2 \1"),
        (r"\b(\d\S*) (a|p)m\b", r"\1 \2.m"),
    )
]
# "is it allowed", "who is it that": an "it" that points at nothing.
DUMMY = re.compile(
    r"\bit (?=that|allowed|permitted|possible|ok|okay|legal|safe|necessary|required|mandatory|forbidden)"
)


def terms(question: str) -> tuple[str, ...]:
    """The words of `question` that can change its answer, in their order. Two that are equal may share an answer."""
    words = WRITTEN.sub(number, " ".join(spelled(normalised(question))))
    for pattern, instead in PHRASES:
        words = pattern.sub(instead, words)
    return tuple(singular(SAME.get(word, word)) for word in words.split() if word not in SILENT)


def stands_alone(question: str) -> bool:
    """Whether `question` says all it means: it points at nothing that was said before, nor at a day that moves on."""
    text = re.sub(r"\b[A-Z]{2,}\b", "", normalised(question))  # IT and WHO point at nothing
    is_short_enough = len(question) <= LONGEST_CHARS
    return is_short_enough and bool(terms(question)) and not LEANS.search(DUMMY.sub("", text.casefold()))


def normalised(question: str) -> str:
    """One form of each character, without greetings, "could you tell me" and thanks."""
    text = " ".join(unicodedata.normalize("NFKC", question).translate(TYPOGRAPHY).replace("\0", "").split())
    before = ""
    while text != before:
        before, text = text, POLITENESS.sub("", text).strip()
    return text.lower() if text.isupper() and len(LETTERS.findall(text)) > 2 else text


def spelled(text: str) -> Iterator[str]:
    """Its words in lower case; a name that is also a common word keeps a mark, a quotation is one word."""
    quotes: list[str] = []

    def keep(match: re.Match[str]) -> str:
        quotes.append('"' + "·".join((match[1] or match[2]).casefold().split()))
        return f" \0{len(quotes) - 1}\0 "

    text = QUOTED.sub(keep, text)
    for found in WORD.finditer(text):
        if found[0].startswith("\0"):
            yield quotes[int(found[0].strip("\0"))]
        else:
            before = text[: found.start()].rstrip(" '(")
            yield from parts(found[0], opens=not before or before[-1] in ".!?:")


def parts(word: str, *, opens: bool) -> list[str]:
    """Contractions, compounds and numbers with a unit come apart. opens: it begins a sentence."""
    lower = word.casefold()
    if lower[:1].isdigit() or lower[:1] == "-":
        if THOUSANDS.fullmatch(lower):
            return [lower.replace(",", "")]
        glued = WITH_UNIT.fullmatch(lower)
        return [*parts(glued[1], opens=False), UNITS[glued[2]]] if glued and glued[2] in UNITS else [lower]
    if denied := NOT.fullmatch("can't" if lower == "cannot" else lower):
        return [{"ca": "can", "wo": "will", "sha": "will"}.get(denied[1], denied[1]), "not"]
    base, _, ending = lower.rpartition("'")
    if base and ending in ENDINGS:
        is_owner = ending == "s" and base not in QUESTION_WORDS | {"there", "here", "that", "it"}
        return [*parts(word[: len(base)], opens=opens), *([] if is_owner else ENDINGS[ending])]
    if ("-" in lower and lower in SAME) or any(letter.isdigit() for letter in lower):
        return [lower if not is_name(word, lower, opens=opens) else f"^{lower}"]
    if "-" in lower or "/" in lower:
        return [part for piece in re.split(r"[-/]", word) if piece for part in parts(piece, opens=opens)]
    return [f"^{lower}" if is_name(word, lower, opens=opens) else lower]


def is_name(word: str, lower: str, *, opens: bool) -> bool:
    """Whether only its capitals tell it from a common word: US, May, Will, plan A, Mr. Williams."""
    has_capital = (word[:1].isupper() and not opens and word != "I") or (len(word) > 1 and word.isupper())
    return has_capital and (lower in COMMON or (singular(lower) != lower and not lower.endswith("days")))


def number(match: re.Match[str]) -> str:
    tens, units, small = match.groups()
    return str(TENS[tens] + int(NUMBERS.get(units, 0))) if tens else NUMBERS[small]


def singular(word: str) -> str:
    if len(word) < 4 or word in NOT_PLURAL or word[0] in '^"' or word.endswith(("ss", "us", "is")) or word[-1] != "s":
        return ORDINALS.get(word, word)
    if word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-2] if word.endswith(("ches", "shes", "xes", "sses", "zzes")) else word[:-1]
