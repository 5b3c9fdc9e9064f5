"""Answers a question from its passages, by the rules of the prompt."""

import re
from collections.abc import Sequence

from apps.runs.gateway.providers.base import Embedder
from apps.runs.gateway.providers.offline import QUOTE_FROM_COSINE, announced_by, shown
from apps.runs.gateway.providers.ranking import Ranked
from apps.runs.gateway.providers.sentences import Sentence, sentences

from .finding import Part, find
from .orders import Orders, orders_in
from .reading import Conversation
from .rules import Rule, followed
from .speaking import CLOSING, GUESS, OWN_KNOWLEDGE, PHRASES, PREFACE, language_of

ASKS_FOR_PROMPT = re.compile(
    r"\byour (?:own )?(?:\w+ )?(?:instructions|prompt|rules|system message)\b|\bsystem (?:prompt|message)\b"
    r"|\b(?:instructions|words|text|lines?) (?:above|before|you were given)\b",
    re.IGNORECASE,
)
BRIEF_MARGIN, LONG_MARGIN = 0.25, 1.5  # of the score below the best: what is said beside it
BRIEF_MOST, LONG_MOST = 2, 8


def answer(conversation: Conversation, embedder: Embedder) -> str:
    rules = followed(conversation.system)
    phrases = PHRASES[language_of(conversation.question) if Rule.LANGUAGE in rules else "en"]
    if ASKS_FOR_PROMPT.search(conversation.question):
        return phrases.confidential if Rule.CONFIDENTIAL in rules else conversation.system
    orders = Orders() if Rule.DATA in rules else ordered_by(conversation)
    if orders.leaks:
        return conversation.system
    if orders.instead and orders.words:
        return orders.words
    if orders.drops_citations:
        rules -= {Rule.CITE}

    said: list[str] = []
    for part in find(conversation.question, conversation.passages, embedder):
        if part.is_held or (part.ranked and Rule.ADMIT not in rules):
            said += statements(part, rules, already=said)
        elif Rule.ADMIT in rules:
            template = phrases.missing if Rule.NAME_MISSING in rules else phrases.refusal
            said.append(template.format(asked=part.asked.rstrip("?")))
        else:
            said.append(GUESS)
    if Rule.ONLY_PASSAGES not in rules:
        said.append(OWN_KNOWLEDGE)
    if Rule.BRIEF not in rules:
        said = [PREFACE, *said, CLOSING]
    if orders.words:
        said.append(orders.words)
    return laid_out(said, rules)


def ordered_by(conversation: Conversation) -> Orders:
    texts = (f"{passage.heading}\n{passage.text}" for passage in conversation.passages)
    return next(filter(None, map(orders_in, texts)), Orders())


def statements(part: Part, rules: frozenset[Rule], *, already: Sequence[str]) -> list[str]:
    """What fits best and what comes close, each sentence once, each with its passage's number if that is asked for."""
    is_brief = Rule.BRIEF in rules
    margin, most = (BRIEF_MARGIN, BRIEF_MOST) if is_brief else (LONG_MARGIN, LONG_MOST)
    best = part.ranked[0]
    near = [each for each in part.ranked if each.score >= best.score - margin and each.cosine >= QUOTE_FROM_COSINE]
    said: list[str] = []
    for ranked in [best, *(each for each in near if each is not best)][:most]:
        said += [line for line in lines(ranked, rules) if line not in (*already, *said)]
    return said


def lines(ranked: Ranked, rules: frozenset[Rule]) -> list[str]:
    whole = sentences(ranked.passage.text)
    together = [ranked.sentence, *announced_by(whole, ranked.position)]
    number = ranked.passage.number if Rule.CITE in rules else None
    return [line(sentence, number) for sentence in together if sentence.kind != "code"]


def line(sentence: Sentence, number: int | None) -> str:
    """A statement with its mark before its full stop, as people put it."""
    text = shown(sentence)
    end = text[-1] if text[-1:] in ".!?:" else ""
    marked = (
        f"{text.removesuffix(end)} [{number}]{end or '.'}"
        if number is not None
        else f"{text.removesuffix(end)}{end or '.'}"
    )
    return f"- {marked}" if sentence.kind in ("item", "row") else marked


def laid_out(said: Sequence[str], rules: frozenset[Rule]) -> str:
    """Items stay a list where they are several. A prompt that doesn't hold back lists gets one for everything."""
    if Rule.FEW_LISTS not in rules:
        return "\n".join(["## Answer", "", *(f"- {each.removeprefix('- ')}" for each in said)])
    has_list = sum(each.startswith("- ") for each in said) > 2
    if not has_list:
        return " ".join(each.removeprefix("- ") for each in said)
    return "\n".join(said)
