"""Kinds of requests, told by their words, and the words by which a prompt speaks of each kind."""

import re
from collections.abc import Callable

from apps.runs.gateway.routing import CODE, FORMULA

from .finding import parts_of

Test = Callable[[str], bool]

SHORT_WORDS = 25


def words(*alternatives: str, at_most: int = 1_000) -> Test:
    """Whether a request of no more words than `at_most` has one of these, or one that begins so."""
    compiled = re.compile(rf"\b(?:{'|'.join(alternatives)})", re.IGNORECASE)
    return lambda request: len(request.split()) <= at_most and compiled.search(request) is not None


speaks_of_code = words(
    *(r"code\b", r"scripts?\b", r"functions?\b", r"SQL\b", r"quer(?:y|ies)\b", r"regex", r"regular expression"),
    *(r"Python\b", r"JavaScript\b", r"CSS\b", r"unit tests?\b", r"stack ?trace", r"endpoint\b"),
)
is_about_hard_code = words(
    *("race condition", "deadlock", "concurren", "thread-?safe", "optimi[sz]", "distributed", "refactor", "debug"),
    *("memory leak", "idempoten", "complexity", "scalab", "lock-free", "isolation level", "exactly once"),
)
calculates = words(
    *("calculat", "prove", "derive", "solve", "integral", "equation", "probabilit", "expected value", "compound"),
    *("percentage", "break[- ]even", "how much .{1,60} (?:altogether|in total)", "optimum", "work out the"),
)
summarises = words("summar", "sum up", "overview", "digest", "main points", "in three sentences")
tabulates = words("(?:in|as|into) a table", "table of", "tabulat", "table that", "table with")
compares = words("compar", "versus", r"vs\b", "differences?", "differ from", "which of the two", "side by side")
plans = words(
    "plan (?:a|an|the|our|how|for)", "roadmap", "schedule (?:for|that)", "draw up", "strategy", "rota", "phases"
)
weighs = words("weigh", "pros and cons", "trade-?off", "should we", "arguments? (?:for|on)", "all sides", "ethical")
contradicts = words("contradict", "conflict(?:s|ing)? ", "inconsisten", "disagree", "reconcile", "don't agree")
reasons = words(
    *("step by step", "reason", "why (?:might|would|could|did|does)", "explain how", "infer", "what follows"),
    *("think through", "root cause", "hypothes", "deduce", "puzzle"),
)
follows_up = words(r"(?<![\w\s])(?:and|what about|how about|same for|go on|ok|yes|no)\b", at_most=10)
greets = words(
    *(r"hi\b", r"hello\b", r"hey\b", "good (?:morning|afternoon|evening)", r"thanks?\b", "thank you", "cheers", "bye"),
    at_most=12,
)
rewords = words(
    *("reword", "rephrase", "shorten", "make (?:this|it) (?:shorter|friendlier|more)", "fix the (?:spelling|grammar)"),
    *("proofread", "put this", "polite"),
)


def is_code(request: str) -> bool:
    return CODE.search(request) is not None or speaks_of_code(request)


def is_hard_code(request: str) -> bool:
    return is_code(request) and is_about_hard_code(request)


def is_mathematics(request: str) -> bool:
    has_numbers = len(re.findall(r"\d+", request)) > 1
    return FORMULA.search(request) is not None or (calculates(request) and (has_numbers or "prove" in request.lower()))


def wants_more(request: str) -> bool:
    """More than to be told facts."""
    tests = (is_code, is_mathematics, summarises, tabulates, compares, plans, weighs, contradicts, reasons)
    return any(test(request) for test in tests)


def asks_several(request: str) -> bool:
    lists = words("list all", "all the", "each of", "every one of")(request)
    return (lists or len(parts_of(request.partition("?")[0])) > 1 or request.count("?") > 1) and not wants_more(request)


def asks_one(request: str) -> bool:
    is_short = len(request.split()) <= SHORT_WORDS
    return is_short and not asks_several(request) and not wants_more(request)


# How a tier's description names a kind, and what a request of that kind is.
KINDS: tuple[tuple[str, Test], ...] = (
    (r"fact\b|look ?up|lookup|simple question", asks_one),
    (r"greet|small talk|thanks", greets),
    (r"reword|rephras|spelling", lambda request: rewords(request) and not wants_more(request)),
    (r"follow-?up", follows_up),
    (r"several|multiple|bring together|combin", asks_several),
    (r"summar|digest|overview", summarises),
    (r"table", tabulates),
    (
        r"(?<!difficult )(?<!hard )(?<!complex )code|scripts?",
        lambda request: is_code(request) and not is_hard_code(request),
    ),
    (r"(?:difficult|hard|complex|tricky) code|debugging", is_hard_code),
    (r"compar", compares),
    (r"reason|steps of|think", reasons),
    (r"plan", plans),
    (r"math|calculat|arithmetic", is_mathematics),
    (r"weigh|trade-?off|many sides|judgement", weighs),
    (r"contradict|conflict", contradicts),
)


def kinds_in(description: str, request: str) -> int:
    """How many of the kinds that a description names the request is of."""
    return sum(
        re.search(rf"\b(?:{word})", description, re.IGNORECASE) is not None and test(request) for word, test in KINDS
    )
