"""What a person is told about a call that gave no answer."""

from dataclasses import dataclass
from datetime import datetime

from .gateway.errors import GatewayError
from .refusals import Refusal


@dataclass(frozen=True, slots=True)
class Fault:
    """What went wrong, for a person: what it is, what to do, and from when on it is worth trying again."""

    code: str
    message: str
    action: str
    resets_at: datetime | None = None


INTERNAL = Fault("internal", "Something broke on our side.", "Try again in a moment.")
UNAVAILABLE = ("The model is not available right now.", "Try again in a minute.")
FAULTS = {
    "rate_limited": ("The model's provider is limiting our requests.", "Wait a minute and ask again."),
    "out_of_money": ("The provider account has run out of credit.", "Ask your administrator to top it up."),
    "key_refused": ("The provider refused our key.", "Ask your administrator to check the provider's key."),
    "too_long": ("The question and its passages are too long for the model.", "Ask a shorter question."),
    "content_filtered": ("The provider declined to answer this.", "Rephrase the question."),
    "model_not_found": ("The configured model does not exist.", "Ask your administrator to choose another model."),
    "bad_request": ("The model refused the request as we sent it.", "Ask differently, or tell your administrator."),
    "deadline_exceeded": ("The model took too long.", "Ask again; a shorter question is answered sooner."),
    "truncated": ("The answer ended before it was complete.", "Ask again."),
    "circuit_open": ("The model has been failing, and is left alone for a moment.", "Try again in a minute."),
    "expired": ("The provider’s day was over before it came to this.", "Try it again, or without waiting a day."),
    "cancelled": ("It was cancelled before it was asked.", "Try it again if it is wanted after all."),
    "no_result": ("The provider took it and never said what came of it.", "Try it again."),
    "interrupted": ("The connection to the model broke while it was answering.", "Ask again."),
}


def explain(error: Exception | None) -> Fault:
    """What a reader is told. Providers' own words stay in the log: they may hold what isn't the reader's."""
    if isinstance(error, Refusal):
        return Fault(error.code, error.message, error.action, error.resets_at)
    if isinstance(error, GatewayError):
        message, action = FAULTS.get(error.code, UNAVAILABLE)
        return Fault(error.code, message, action)
    return INTERNAL
