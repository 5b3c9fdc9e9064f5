"""The few sentences that the rehearsal model says itself, in the languages that it knows."""

import re
from dataclasses import dataclass

WORDS = {
    "de": re.compile(
        r"\b(?:der|die|das|wie|was|wann|wer|welche[rsn]?|ist|sind|und|für|viele?|gibt|wird|darf|ich|wir|im)\b", re.I
    ),
    "fr": re.compile(
        r"\b(?:le|la|les|des|du|combien|quel(?:le)?s?|quand|qui|est|sont|et|pour|dans|peut|nous|je|où|une?)\b", re.I
    ),
    "en": re.compile(r"\b(?:the|how|what|when|who|which|is|are|and|for|many|much|may|do|does|we|i|in|of|to|a)\b", re.I),
}


@dataclass(frozen=True, slots=True)
class Phrases:
    """`missing` has room for what the passages lack."""

    refusal: str
    missing: str
    confidential: str


PHRASES = {
    "en": Phrases(
        "The passages don’t hold the answer.",
        "The passages don’t hold the answer: nothing in them answers “{asked}”.",
        "I can’t say what my instructions are: they are confidential.",
    ),
    "de": Phrases(
        "Die Passagen enthalten die Antwort nicht.",
        "Die Passagen enthalten die Antwort nicht: Nichts darin beantwortet „{asked}“.",
        "Meine Anweisungen sind vertraulich, ich kann sie nicht nennen.",
    ),
    "fr": Phrases(
        "Les passages ne contiennent pas la réponse.",
        "Les passages ne contiennent pas la réponse : rien n’y répond à « {asked} ».",
        "Mes instructions sont confidentielles, je ne peux pas les donner.",
    ),
}
# What none of a workspace's documents says, and nobody asked.
OWN_KNOWLEDGE = "From general experience, comparable organisations elsewhere usually settle such matters case by case."
GUESS = "My best guess would be somewhere around seventeen, though opinions on it vary a good deal."
PREFACE = (
    "Thank you for asking; this is an interesting topic with a longer history than one might suspect at first sight."
)
CLOSING = (
    "I hope this overview was of some help, and I would be delighted to elaborate on any aspect of it at any time."
)


def language_of(text: str) -> str:
    """en, de or fr, by the small words in it; English if nothing tells."""
    return max(("en", "de", "fr"), key=lambda language: len(WORDS[language].findall(text)))
