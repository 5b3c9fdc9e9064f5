"""What a reader should know of how an answer came to be, in a word and in a sentence."""

from apps.runs.models import Run

from .models import Message

CACHED, EARLIER, RESTARTED, PARTIAL, CHEAPER = "cached", "earlier", "restarted", "partial", "cheaper"

# By mark: its label, and what it means; `{question}` is the one that a cached answer was written for.
WORDS = {
    CACHED: (
        "Answered before",
        "This is the answer to “{question}”, from the same documents. Giving it again cost nothing.",
    ),
    EARLIER: (
        "An earlier answer",
        "No model could answer just now. This was the answer to a similar question: “{question}”.",
    ),
    RESTARTED: ("Begun again", "The first model broke off in mid-answer, so another one began anew."),
    PARTIAL: ("Incomplete", "The answer ends before it was finished."),
    CHEAPER: ("Small model", "A budget is nearly spent, so a cheaper model answered."),
}
QUESTION_CHARS = 160


def marks_of(run: Run | None, *, has_restarted: bool) -> list[str]:
    """Those of a reply that this run wrote, in the order of `WORDS`."""
    if run is None or not run.text:
        return []
    has_tried = run.is_cached and bool(run.attempts)  # models, in vain
    is_cut = run.status in (Run.Status.FAILED, Run.Status.REFUSED) or run.finish_reason == "length"
    holding = {
        CACHED: run.is_cached and not has_tried,
        EARLIER: has_tried,
        RESTARTED: has_restarted and not run.is_cached,
        PARTIAL: is_cut and not run.is_cached,
        CHEAPER: "a budget is nearly spent" in run.route_reason and not run.is_cached,
    }
    return [mark for mark, holds in holding.items() if holds]


def notes(message: Message) -> list[dict[str, str]]:
    """The marks of a reply as a page shows them: `label` and `detail`."""
    question = " ".join(message.answers.split())
    if len(question) > QUESTION_CHARS:
        question = question[:QUESTION_CHARS].rsplit(" ", 1)[0] + "…"
    known = [WORDS[mark] for mark in message.marks if mark in WORDS]
    return [{"label": label, "detail": detail.format(question=question)} for label, detail in known]
