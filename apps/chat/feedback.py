"""Thumbs and comments: given, changed, taken back. The run's own rating follows in the same transaction."""

from typing import Any
from uuid import UUID

from django import forms
from django.db import transaction
from django.db.models import QuerySet

from apps.runs import answers
from apps.runs.models import Run

from .models import Feedback, Message
from .models.feedback import MAX_COMMENT_CHARS


class FeedbackForm(forms.Form):
    """The whole of a feedback as its page has it. Without a rating it is taken back."""

    rating = forms.TypedChoiceField(choices=Feedback.Rating.choices, coerce=int, required=False, empty_value=None)
    reason = forms.ChoiceField(choices=Feedback.Reason.choices, required=False)
    comment = forms.CharField(max_length=MAX_COMMENT_CHARS, required=False)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = self.cleaned_data
        if cleaned.get("rating") != Feedback.Rating.DOWN:
            cleaned["reason"] = ""
        return cleaned


def finished() -> QuerySet[Message]:
    """Answers that are there to be judged: not those that are being written, nor those that failed."""
    ended = (Message.Status.OK, Message.Status.STOPPED)
    return Message.objects.filter(role=Message.Role.ASSISTANT, status__in=ended)


@transaction.atomic
def give(message: Message | None, run: Run | None, *, rating: int, reason: str = "", comment: str = "") -> Feedback:
    """Write what is thought of an answer in place of what was. Who may is the caller's to check.

    message: None for a run that a program made, which keeps no words.
    """
    given, _ = Feedback.objects.update_or_create(
        **on(message, run), defaults={"run": run, "rating": rating, "reason": reason, "comment": comment}
    )
    rate(run, rating)
    if rating == Feedback.Rating.DOWN and run:  # or others would be given it again
        answers.forget([UUID(str(pk)) for pk in (run.pk, run.cached_from_id) if pk])
    return given  # type: ignore[no-any-return]


@transaction.atomic
def take_back(message: Message | None, run: Run | None) -> None:
    """Nobody is shown question and answer any longer."""
    Feedback.objects.filter(**on(message, run)).delete()
    rate(run, None)


def on(message: Message | None, run: Run | None) -> dict[str, Any]:
    return {"message": message} if message else {"message": None, "run": run}


def rate(run: Run | None, rating: int | None) -> None:
    if run:
        Run.objects.filter(pk=run.pk).update(rating=rating)
