"""Says which tier answers a request: the one whose description in the prompt fits it best."""

import json
import re
from collections.abc import Callable

import numpy as np

from apps.runs.gateway.providers.base import Embedder
from apps.runs.gateway.routing import CODE, FORMULA

from .finding import parts_of
from .orders import TIER
from .reading import Conversation, between_lines
from .rules import Rule, followed
from .wording import as_object, field_of

DESCRIBED = re.compile(r"^\s*(?:[-*]|\d+[.)])\s+[`*\"]*(\w+)[`*\"]*\s*[:–-]\s+(.+)$", re.MULTILINE)
IN_DOUBT = 0.5  # a difference in fit that is none
FACT = 1.0
TOPIC = 0.25  # what likeness of meaning counts beside a fact

HARD_CODE = re.compile(
    r"\b(?:race conditions?|deadlocks?|concurren\w+|thread-?safe|optimi[sz]\w+|distributed|refactor\w*|debug\w*|memory leak|"
    r"idempoten\w+|complexity|scal(?:e|es|able|ability)|lock-free|transaction isolation)\b",
    re.I,
)
PLAIN_CODE = re.compile(
    r"\b(?:code|script|function|SQL|quer(?:y|ies)|regex|regular expression|Python|JavaScript|HTML|CSS)\b", re.I
)


def words(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(rf"\b(?:{pattern})", re.IGNORECASE)
    return lambda request: compiled.search(request) is not None


def is_code(request: str) -> bool:
    return bool(CODE.search(request) or PLAIN_CODE.search(request))


def is_hard_code(request: str) -> bool:
    return is_code(request) and HARD_CODE.search(request) is not None


def is_mathematics(request: str) -> bool:
    asks = re.search(
        r"\b(?:calculat\w+|prove|derive|solve|integral|equation|probabilit\w+|expected value|compound\w*|percentages?|break[- ]even|"
        r"how much (?:\w+ ){1,6}(?:altogether|in total)|optimum)\b",
        request,
        re.I,
    )
    return bool(
        FORMULA.search(request) or (asks and (len(re.findall(r"\d", request)) > 1 or "prove" in request.lower()))
    )


SUMMARY, TABLE = (
    words(r"summar|sum up|overview|digest"),
    words(r"(?:in|as|into) a table|table of|tabulat|table that|table with"),
)
COMPARISON = words(r"compar|versus|vs\b|differences?\b|differ from|which of the two|side by side")
PLANNING = words(
    r"plan (?:a|an|the|our|how)|roadmap|schedule (?:for|that)|draw up|migration plan|strategy|work out how|rota"
)
WEIGHING = words(
    r"weigh|pros and cons|trade-?offs?|should we|arguments? for|recommend|on the one hand|all sides|ethical"
)
CONTRADICTION = words(r"contradict|conflict\w* (?:between|with)|inconsisten|disagree|reconcile|which of them is right")
REASONING = words(
    r"step by step|reason|why (?:might|would|could|did)|explain how|infer|what follows|think through|root cause|hypothes"
)
GREETING = words(r"hi\b|hello|hey\b|good (?:morning|afternoon|evening)|thanks?\b|thank you|cheers|bye|see you")
REWORDING = words(
    r"reword|rephrase|shorten|make (?:this|it) (?:shorter|friendlier|politer|more formal)|fix the (?:spelling|grammar)|translate|in other words|proofread|politer"
)
FOLLOW_UP = words(
    r"and (?:in|for|on|at|the|if|what)\b.{0,40}$|what about|how about|same for|ok\b|yes\b|no\b|sure\b|go on\b"
)
OTHERS = (
    is_hard_code,
    is_code,
    is_mathematics,
    SUMMARY,
    TABLE,
    COMPARISON,
    PLANNING,
    WEIGHING,
    CONTRADICTION,
    REASONING,
)
SHORT_WORDS = 25


def is_several_facts(request: str) -> bool:
    return (
        len(parts_of(request)) > 1
        or request.count("?") > 1
        or bool(words("list all|all the|each of|every one of")(request))
    ) and not is_rather(request)


def is_one_fact(request: str) -> bool:
    return len(request.split()) <= SHORT_WORDS and len(parts_of(request)) == 1 and not is_rather(request)


def is_rather(request: str) -> bool:
    return any(test(request) for test in OTHERS)


# A word in a tier's description, and what a request must be for it to fit.
FACTS: tuple[tuple[str, Callable[[str], bool]], ...] = (
    (r"several|multiple|many facts|bring together|combine", is_several_facts),
    (r"summar|digest|overview", SUMMARY),
    (r"table", TABLE),
    (
        r"plain code|simple code|easy code|short code|scripts?|(?<!difficult )(?<!hard )(?<!complex )\bcode",
        lambda request: is_code(request) and not is_hard_code(request),
    ),
    (r"difficult code|hard code|complex code|tricky code|debugging", is_hard_code),
    (r"compar", COMPARISON),
    (r"reason|steps of|think", REASONING),
    (r"plan", PLANNING),
    (r"math|calculat|arithmetic", is_mathematics),
    (r"weigh|trade-?off|many sides|judgement", WEIGHING),
    (r"contradict|conflict", CONTRADICTION),
    (r"greet|small talk|thanks", lambda request: GREETING(request) and len(request.split()) <= 12),
    (r"reword|rephras|spelling", lambda request: REWORDING(request) and not is_rather(request)),
    (r"follow-?up", lambda request: FOLLOW_UP(request) and len(request.split()) <= 10),
    (r"fact\b|look ?up|lookup|simple question", is_one_fact),
)


def choose(conversation: Conversation, embedder: Embedder) -> str:
    """The tier in the form that the prompt asks for; a sentence, where it asks for none."""
    rules = followed(conversation.system)
    request = between_lines(conversation.question, conversation.system)
    described = {name: text for name, text in DESCRIBED.findall(conversation.system)}
    if not described:
        return "I can't tell which models there are to choose from."
    tier = tier_for(request, described, rules, embedder)
    return as_object(
        {field_of(conversation.system, "tier"): tier}, rules, in_words=f"I would hand this to the {tier} model."
    )


def tier_for(request: str, described: dict[str, str], rules: frozenset[Rule], embedder: Embedder) -> str:
    if Rule.DATA not in rules and (ordered := TIER.search(request)) and ordered[1].lower() in described:
        return ordered[1].lower()
    names = list(described)
    vectors = embedder.embed([request[:1_000], *described.values()]).vectors
    likeness = vectors[1:] @ vectors[0]
    fits = np.array([facts_in(described[name], request) for name in names]) + TOPIC * likeness
    near = [name for name, fit in zip(names, fits, strict=True) if fit >= fits.max() - IN_DOUBT]
    return near[0] if Rule.CHEAPER in rules else near[-1]  # a prompt names them from the cheapest


def facts_in(description: str, request: str) -> float:
    return sum(
        FACT for word, test in FACTS if re.search(rf"\b(?:{word})", description, re.IGNORECASE) and test(request)
    )
