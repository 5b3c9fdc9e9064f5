"""Which tier a request takes: a table of requests, and what holds for every one."""

import time
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from apps.runs.gateway.routing import (
    BOUNDS,
    TIERS,
    Facts,
    TierName,
    decide,
    facts_of,
    has_room,
    reach,
)
from apps.runs.gateway.types import Message, Passage, Request


def asking(question: str, *, passages: int = 6, turns: int = 0, system: str = "Be brief.", **fields: Any) -> Request:
    found = tuple(Passage(n, "Handbook", "Leave", "Thirty days.", 0.9) for n in range(1, passages + 1))
    before = tuple(Message("user" if n % 2 == 0 else "assistant", "Hm.") for n in range(turns))
    return Request(
        (Message("system", system), *before, Message("user", question)), 400, found, question=question, **fields
    )


CODE = "What does this do?\n```python\nfor row in rows: print(row)\n```"


@pytest.mark.parametrize(
    ("request_", "tier", "reason"),
    [
        (asking("How many days of leave do I have?"), "cheap", "short question over 6 passages: cheap"),
        (asking("Wie viele Urlaubstage habe ich?", passages=1), "cheap", "short question over 1 passage: cheap"),
        (asking("And in May?", passages=0, turns=4), "cheap", "short question after 4 messages: cheap"),
        (asking("Hello!", passages=0), "cheap", "short question: cheap"),
        (asking("Why did revenue fall in May?"), "standard", "asks to reason or compare: standard"),
        (asking("Was ist der Unterschied zwischen A und B?"), "standard", "asks to reason or compare: standard"),
        (asking("两份合同有什么区别"), "standard", "asks to reason or compare: standard"),
        (asking(CODE), "standard", "has code: standard"),
        (asking(f"Compare both.\n{CODE}"), "strong", "has code, asks to reason or compare: strong"),
        (asking("SELECT name\nFROM users, and what of it?"), "standard", "has code: standard"),
        (asking("Is 12 * 40 right?"), "standard", "has a calculation: standard"),
        (asking("When? Where? By whom?"), "standard", "asks 3 things: standard"),
        (asking("Tell me\n- the date\n- the place\n- the price"), "standard", "asks 3 things: standard"),
        (asking("word " * 400), "standard", "long question (2,000 characters): standard"),
        (asking("And this?", system="x" * 30_000), "standard", "about 10,011 tokens to read: standard"),
        (
            asking("Why is that?", system="x" * 120_000),
            "strong",
            "asks to reason or compare, about 40,012 tokens to read: strong",
        ),
        (asking("And this?", passages=20), "standard", "20 passages: standard"),
        (asking("And this?", turns=20), "standard", "20 messages before: standard"),
        (asking("Name the parties.", schema={"type": "object"}), "standard", "must follow a schema: standard"),
    ],
)
def test_a_request_takes_the_tier_that_it_looks_like(request_: Request, tier: TierName, reason: str) -> None:
    decision = decide(facts_of(request_, feature="chat"))

    assert (decision.tier, decision.reason) == (tier, reason)


def test_a_feature_keeps_to_its_bounds() -> None:
    decision = decide(facts_of(asking(f"Compare both.\n{CODE}"), feature="title"))

    assert (decision.tier, decision.reason) == ("cheap", "every title: cheap")


@pytest.mark.parametrize(
    ("forced", "highest", "tier", "reason"),
    [
        ("strong", "strong", "strong", "always strong"),
        ("cheap", "strong", "cheap", "always cheap"),
        ("strong", "standard", "standard", "always strong; standard is the dearest that the plan allows"),
    ],
)
def test_what_is_forced_wins_but_not_over_the_plan(
    forced: TierName, highest: TierName, tier: TierName, reason: str
) -> None:
    decision = decide(facts_of(asking(CODE), feature="title", highest=highest, forced=forced))

    assert (decision.tier, decision.reason) == (tier, reason)


tiers = st.sampled_from(TIERS)
sizes = st.integers(0, 10_000_000)
any_facts = st.builds(
    Facts,
    feature=st.sampled_from(["chat", "api", *BOUNDS]),
    tokens=sizes,
    question_chars=sizes,
    passages=st.integers(0, 100),
    turns=st.integers(0, 1000),
    parts=st.integers(1, 1000),
    has_code=st.booleans(),
    has_formula=st.booleans(),
    wants_thought=st.booleans(),
    has_schema=st.booleans(),
    highest=tiers,
    forced=st.none() | tiers,
)


@given(any_facts)
def test_no_request_goes_above_the_plan_and_what_is_forced_is_done(facts: Facts) -> None:
    decision = decide(facts)

    assert TIERS.index(decision.tier) <= TIERS.index(facts.highest)
    if facts.forced:
        assert decision.tier == min(facts.forced, facts.highest, key=TIERS.index)
    assert decision.tier in decision.reason and len(decision.reason) <= 200  # as the run's column has it


@given(any_facts.filter(lambda facts: not facts.forced and facts.feature == "chat"))
def test_more_of_anything_never_makes_it_cheaper(facts: Facts) -> None:
    more = replace(facts, tokens=facts.tokens * 2, has_code=True, parts=facts.parts + 3)

    assert TIERS.index(decide(more).tier) >= TIERS.index(decide(facts).tier)


@given(st.text())
@example("(" * 5_000)
@example("SELECT " * 700)
@example("5 % " * 1_200)
@example(" \n" * 2_500)
def test_any_question_is_read_in_no_time(question: str) -> None:
    began = time.perf_counter()
    facts = facts_of(asking(question), feature="chat")

    assert time.perf_counter() - began < 0.1
    assert facts.parts >= 1 and facts.question_chars == len(question)


@dataclass(frozen=True)
class Choice:
    name: str
    context_tokens: int | None


SMALL, MEDIUM, LARGE, ANY = Choice("s", 8_000), Choice("m", 32_000), Choice("l", 200_000), Choice("any", None)


@pytest.mark.parametrize(
    ("tokens", "highest", "tier", "names"),
    [
        (500, "strong", "cheap", ["s", "m"]),
        (8_000, "strong", "cheap", ["s", "m"]),
        (8_001, "strong", "cheap", ["m"]),
        (40_000, "strong", "strong", ["l"]),  # the standard tier has none as large
        (40_000, "standard", "cheap", []),
        (400_000, "strong", "cheap", []),
    ],
)
def test_a_long_request_passes_small_models_by(
    tokens: int, highest: TierName, tier: TierName, names: list[str]
) -> None:
    chains = {"cheap": [SMALL, MEDIUM], "standard": [MEDIUM], "strong": [SMALL, LARGE]}

    reached, found = reach("cheap", tokens, highest=highest, chain_of=chains.__getitem__)

    assert (reached, [choice.name for choice in found]) == (tier, names)


def test_a_tier_without_a_model_goes_up_and_then_down() -> None:
    up = {"cheap": [], "standard": [], "strong": [ANY]}
    down = {"cheap": [SMALL], "standard": [ANY], "strong": []}

    assert reach("cheap", 10, highest="strong", chain_of=up.__getitem__) == ("strong", (ANY,))
    assert reach("cheap", 10, highest="standard", chain_of=up.__getitem__) == ("cheap", ())
    assert reach("strong", 10, highest="strong", chain_of=down.__getitem__) == ("standard", (ANY,))


@given(
    st.fixed_dictionaries({tier: st.lists(st.sampled_from([SMALL, MEDIUM, LARGE, ANY])) for tier in TIERS}),
    st.integers(0, 300_000),
    tiers,
    tiers,
)
def test_what_is_reached_has_room_and_is_allowed(
    chains: dict[TierName, list[Choice]], tokens: int, tier: TierName, highest: TierName
) -> None:
    tier = min(tier, highest, key=TIERS.index)

    reached, found = reach(tier, tokens, highest=highest, chain_of=chains.__getitem__)

    assert TIERS.index(reached) <= TIERS.index(highest)
    assert all(has_room(choice, tokens) for choice in found)
    allowed = TIERS[: TIERS.index(highest) + 1]
    assert bool(found) == any(has_room(choice, tokens) for each in allowed for choice in chains[each])


def test_a_decision_takes_microseconds() -> None:
    facts = facts_of(asking(CODE), feature="chat")
    began = time.perf_counter()
    for _ in range(1_000):
        decide(facts)

    assert time.perf_counter() - began < 0.25  # 250 µs each, on a busy machine
