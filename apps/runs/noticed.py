"""What the guard notices about a call, as it stands in `Run.flags`, and what each means to a person."""

from typing import NamedTuple

INJECTION = "injection"
INJECTION_IN_PASSAGE = "injection_in_passage"
HIDDEN_TEXT = "hidden_text"
CANARY = "canary"
CITATION_UNKNOWN = "citation_unknown"
MODERATED = "moderated"
UNMODERATED = "moderation_unavailable"
NO_ANSWER = "no_answer"


class Meaning(NamedTuple):
    flag: str
    label: str
    text: str


MEANINGS = {
    INJECTION: ("Injection", "The question has signs of an attempt to give the assistant other orders."),
    INJECTION_IN_PASSAGE: (
        "Injection in a document",
        "A passage that was found speaks to AI models. It was given as data only; look at its document.",
    ),
    HIDDEN_TEXT: ("Hidden text", "The question held text in characters that nobody sees. They were taken out."),
    CANARY: ("Leak stopped", "The answer began to give away its instructions, and was stopped before that was shown."),
    CITATION_UNKNOWN: ("Unknown source", "The answer cites a passage that it wasn’t given. That mark leads nowhere."),
    MODERATED: ("Moderated", "The provider’s moderation objected to the question or the answer."),
    NO_ANSWER: ("No answer", "The answer says that the documents hold none. Perhaps one that does is missing."),
    UNMODERATED: ("Not moderated", "Moderation is switched on, and no provider gave it for this call."),
}


def explained(flags: list[str]) -> list[Meaning]:
    """The flags in words, each once."""
    return [
        Meaning(flag, *MEANINGS.get(flag, (flag.replace("_", " ").capitalize(), ""))) for flag in dict.fromkeys(flags)
    ]
