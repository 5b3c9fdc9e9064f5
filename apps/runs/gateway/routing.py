"""Which tier of models a request takes, and which models of it: pure functions of what is known about the request.

    facts = facts_of(request, feature="chat", highest="strong")
    decide(facts)                             Decision("cheap", "short question over 6 passages: cheap")
    reach("cheap", tokens, highest=..., chain_of=...)   the first tier with a model that takes so many tokens

Nothing here asks a model or the database: a decision takes microseconds, reading a request for it some tens of them.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, Protocol, TypeVar, get_args

from .types import TOKENS_PER_MESSAGE, Request, estimate_tokens

TierName = Literal["cheap", "standard", "strong"]
TIERS: tuple[TierName, ...] = get_args(TierName)  # from the cheapest

STANDARD_FROM, STRONG_FROM = 1, 3  # points
MOST_SIGNALS = 3  # that a reason names
LONG_QUESTION_CHARS = 1_500
LONG_TOKENS, VERY_LONG_TOKENS = 8_000, 30_000
MANY_PASSAGES = 12
MANY_TURNS = 12
MANY_PARTS = 3
READ_CHARS = 4_000  # of a question; what it is about is said in its beginning

# What a feature never goes below and never above, whatever its requests look like.
BOUNDS: Mapping[str, tuple[TierName, TierName]] = MappingProxyType(
    {"title": ("cheap", "cheap"), "classify": ("cheap", "cheap"), "moderate": ("cheap", "cheap")}
)

# Code, formulas, lists and question marks are told in any language.
CODE = re.compile(
    r"```|^[ \t]{0,8}(?:def |class |import |from \w+ import |function |const |let |var |public |#include|fn |func |\$ )"
    r"|[;{][ \t]*$|=>|</\w+>|\w\(\w*\)|\bSELECT\b.{1,200}?\bFROM\b|^Traceback|\bat \w[\w.$]*\(",
    re.MULTILINE | re.DOTALL,
)
FORMULA = re.compile(r"[∑∫√≤≥≠∞∂π]|\$\$|\\(?:frac|sum|int)\b|\d\s*[*/^×÷]\s*\d|\d\s?%.{1,60}\d\s?%", re.DOTALL)
ITEM = re.compile(r"^[ \t]*(?:[-*•]|\d{1,2}[.)])[ \t]+\S", re.MULTILINE)
QUESTION_MARK = re.compile(r"[?？؟]+")
THOUGHT = re.compile(
    # English, German, French, Spanish, Italian, Portuguese, Dutch; Chinese and Japanese
    r"\b(?:why|compar\w*|versus|vs\.?|trade-?offs?|pros and cons|step[ -]by[ -]step|explain how|analy[sz]\w*|evaluat\w+"
    r"|reason(?:s|ing)?|derive|prove|differen(?:ce|ces|t from)|implications?|recommend\w*"
    r"|warum|weshalb|wieso|vergleich\w*|unterschied\w*|schritt für schritt|begründ\w*|analysier\w*|bewert\w*"
    r"|pourquoi|étape par étape|différences?|analyse[rz]?|justifi\w*|évalu\w*"
    r"|por qué|diferencias?|paso a paso|analiz\w*|justific\w*|evalú\w*"
    r"|perché|confront\w*|differenz\w*|passo (?:dopo|a) passo|por que|diferenças?|analis\w*"
    r"|waarom|vergelijk\w*|verschil\w*|stap voor stap)\b"
    r"|为什么|比较|区别|逐步|分析|なぜ|比較|違い|分析",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a request without understanding it.

    tokens: estimated, of everything that is sent. parts: how many things are asked. highest: the dearest tier that
    the plan allows; forced: what the caller or the workspace insists on.
    """

    feature: str
    tokens: int
    question_chars: int
    passages: int = 0
    turns: int = 0
    parts: int = 1
    has_code: bool = False
    has_formula: bool = False
    wants_thought: bool = False
    has_schema: bool = False
    highest: TierName = "strong"
    forced: TierName | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """A tier, and why in one short sentence."""

    tier: TierName
    reason: str


class Fits(Protocol):
    @property
    def context_tokens(self) -> int | None: ...


F = TypeVar("F", bound=Fits)


def facts_of(request: Request, *, feature: str, highest: TierName = "strong", forced: TierName | None = None) -> Facts:
    question = question_of(request)
    read = question[:READ_CHARS]
    return Facts(
        feature=feature,
        tokens=input_tokens(request),
        question_chars=len(question),
        passages=len(request.passages),
        turns=max(0, sum(message.role != "system" for message in request.messages) - 1),
        parts=max(1, len(QUESTION_MARK.findall(read)), len(ITEM.findall(read))),
        has_code=CODE.search(read) is not None,
        has_formula=FORMULA.search(read) is not None,
        wants_thought=THOUGHT.search(read) is not None,
        has_schema=request.schema is not None,
        highest=highest,
        forced=forced,
    )


def question_of(request: Request) -> str:
    return request.question or next((m.content for m in reversed(request.messages) if m.role == "user"), "")


def decide(facts: Facts) -> Decision:
    """The tier for a request. What is forced wins, and so does a bound of its feature; never above `highest`."""
    if facts.forced:
        return capped(facts.forced, f"always {facts.forced}", facts.highest)
    signals = list(signals_of(facts))
    points = sum(weight for weight, _ in signals)
    weighed: TierName = "strong" if points >= STRONG_FROM else "standard" if points >= STANDARD_FROM else "cheap"
    heaviest = sorted(signals, key=lambda signal: -signal[0])[:MOST_SIGNALS]
    why = ", ".join(name for _, name in heaviest) or size_of(facts)
    lowest, dearest = BOUNDS.get(facts.feature, (TIERS[0], TIERS[-1]))
    tier = min(max(weighed, lowest, key=TIERS.index), dearest, key=TIERS.index)
    if tier != weighed:
        why = f"every {facts.feature}"
    return capped(tier, f"{why}: {tier}", facts.highest)


def signals_of(facts: Facts) -> Iterator[tuple[int, str]]:
    """What speaks for a dearer tier, with its points."""
    if facts.has_code:
        yield 2, "has code"
    if facts.wants_thought:
        yield 2, "asks to reason or compare"
    if facts.has_formula:
        yield 1, "has a calculation"
    if facts.has_schema:
        yield 1, "must follow a schema"
    if facts.parts >= MANY_PARTS:
        yield 1, f"asks {facts.parts} things"
    if facts.question_chars > LONG_QUESTION_CHARS:
        yield 1, f"long question ({facts.question_chars:,} characters)"
    if facts.tokens > LONG_TOKENS:
        yield 2 if facts.tokens > VERY_LONG_TOKENS else 1, f"about {facts.tokens:,} tokens to read"
    if facts.passages > MANY_PASSAGES:
        yield 1, f"{facts.passages} passages"
    if facts.turns > MANY_TURNS:
        yield 1, f"{facts.turns} messages before"


def size_of(facts: Facts) -> str:
    if facts.passages:
        return f"short question over {facts.passages} passage{'s' * (facts.passages != 1)}"
    return f"short question after {facts.turns} messages" if facts.turns else "short question"


def named(tier: str) -> TierName:
    """A tier that somebody else has a type of their own for."""
    return TIERS[TIERS.index(tier)]


def capped(tier: TierName, reason: str, highest: TierName) -> Decision:
    if TIERS.index(tier) <= TIERS.index(highest):
        return Decision(tier, reason)
    return Decision(highest, f"{reason}; {highest} is the dearest that the plan allows")


def input_tokens(request: Request) -> int:
    return sum(estimate_tokens(message.content) + TOKENS_PER_MESSAGE for message in request.messages)


def context_needed(request: Request) -> int:
    """Tokens that a model must take for question and answer together: estimated high, but no bound.

    A bound counts a token a byte, and would shut models out of requests they have room for. Should it be too few after
    all, the provider says so and the next of the chain is asked.
    """
    return input_tokens(request) + request.max_output_tokens


def has_room(choice: Fits, tokens: int) -> bool:
    return choice.context_tokens is None or tokens <= choice.context_tokens


def reach(
    tier: TierName, tokens: int, *, highest: TierName, chain_of: Callable[[TierName], Sequence[F]]
) -> tuple[TierName, tuple[F, ...]]:
    """The tier to take and those of its models with room for so many tokens, question and answer together.

    That is `tier`, else the next one above it up to `highest`, else the next one below: an answer of a lesser model is
    better than none. () for the models if no tier has one.
    """
    at, top = TIERS.index(tier), TIERS.index(highest)
    for other in (tier, *TIERS[at + 1 : top + 1], *reversed(TIERS[:at])):
        if found := tuple(choice for choice in chain_of(other) if has_room(choice, tokens)):
            return other, found
    return tier, ()
