"""Says which tier answers a request: the one whose description in the prompt fits it best."""

import re

import numpy as np

from apps.runs.gateway.providers.base import Embedder

from .as_json import as_object, field_of
from .kinds import kinds_in
from .orders import TIER
from .reading import Conversation, between_lines
from .rules import Rule, followed

DESCRIBED = re.compile(r"^\s*(?:[-*]|\d+[.)])\s+[`*\"]*(\w+)[`*\"]*\s*[:–-]\s+(.+)$", re.MULTILINE)
LIKENESS = 0.25  # what a likeness of meaning counts beside a kind that is named
IN_DOUBT = 0.5  # a difference in fit that is none
READ_CHARS = 1_000


def choose(conversation: Conversation, embedder: Embedder) -> str:
    """The tier in the form that the prompt asks for; a sentence, where it asks for none."""
    rules = followed(conversation.system)
    described = dict(DESCRIBED.findall(conversation.system))
    if not described:
        return "I can't tell which models there are to choose from."
    tier = tier_for(between_lines(conversation.question, conversation.system), described, rules, embedder)
    return as_object({field_of(conversation.system): tier}, rules, in_words=f"I would let the {tier} one answer.")


def tier_for(request: str, described: dict[str, str], rules: frozenset[Rule], embedder: Embedder) -> str:
    """A prompt names the tiers from the cheapest on."""
    if Rule.DATA not in rules and (ordered := TIER.search(request)) and ordered[1].lower() in described:
        return ordered[1].lower()
    vectors = embedder.embed([request[:READ_CHARS], *described.values()]).vectors
    likeness = vectors[1:] @ vectors[0]
    fits = np.array([kinds_in(text, request) for text in described.values()]) + LIKENESS * likeness
    near = [name for name, fit in zip(described, fits, strict=True) if fit >= fits.max() - IN_DOUBT]
    return near[0] if Rule.CHEAPER in rules else near[-1]
