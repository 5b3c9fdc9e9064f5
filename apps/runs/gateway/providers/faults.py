"""Reads a provider's error and says which of ours it is.

Statuses decide most of it; the words below decide where one status means several things: 429 is a rate limit or an
empty purse, 400 is our mistake or too long a prompt. Sources: the error pages of both providers.
https://platform.openai.com/docs/guides/error-codes  https://docs.anthropic.com/en/api/errors
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from .. import errors
from ..errors import GatewayError
from ..types import Target

DETAIL_LENGTH = 300

MONEY = {"billing_error", "insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}
MONEY_OPENINGS = ("your credit balance is too low", "you have reached your specified api usage limits")
SAYS_MONEY = (None, 402, 403, 429)
MONEY_WORDS = ("credit balance is too low", "api usage limits", "spend limit", "exceeded your current quota")
TOO_LONG = {"context_length_exceeded", "request_too_large", "string_above_max_length"}
TOO_LONG_WORDS = (
    "prompt is too long",
    "maximum context length",
    "context window",
    "context limit",
    "request too large",
)
FILTERED = {"content_filter", "content_policy_violation", "responsibleaipolicyviolation"}

BY_STATUS: dict[int, type[GatewayError]] = {
    401: errors.KeyRefused,
    402: errors.OutOfMoney,
    403: errors.KeyRefused,
    404: errors.ModelNotFound,
    408: errors.ProviderUnavailable,
    413: errors.TooLong,
    429: errors.RateLimited,
}

# Errors inside a stream come without a status: the answer had begun as a 200.
BY_NAME: dict[str, type[GatewayError]] = {
    "authentication_error": errors.KeyRefused,
    "permission_error": errors.KeyRefused,
    "invalid_api_key": errors.KeyRefused,
    "not_found_error": errors.ModelNotFound,
    "model_not_found": errors.ModelNotFound,
    "rate_limit_error": errors.RateLimited,
    "rate_limit_exceeded": errors.RateLimited,
    "invalid_request_error": errors.BadRequest,
}


def fault(
    target: Target,
    *,
    status: int | None,
    names: set[str],
    message: str,
    headers: Mapping[str, str] | None = None,
    request_id: str = "",
    secret: str = "",
) -> GatewayError:
    """The error for what a provider answered.

    status is None for an error inside a stream. names are the machine-readable words of the answer (its type and
    code). secret is the key that was used: the error's detail never repeats it.
    """
    names = {name.lower() for name in names}
    if status is None:
        status = next((int(name) for name in names if re.fullmatch(r"[45]\d\d", name)), None)
    error_class = classify(status, names, message.lower())
    return error_class(
        target,
        status=status,
        retry_after_s=retry_after_s(headers or {}),
        request_id=request_id,
        detail="" if error_class is errors.KeyRefused else redacted(message, secret),
    )


def classify(status: int | None, names: set[str], message: str) -> type[GatewayError]:
    if status is None or 400 <= status < 500:
        # A 400 repeats what was asked, which may be anybody's words: there only how the sentence begins counts.
        # Most of what a 4xx says repeats what was asked, which may be anybody's words.
        says_so = status in SAYS_MONEY and any(words in message for words in MONEY_WORDS)
        if names & MONEY or says_so or message.startswith(MONEY_OPENINGS):
            return errors.OutOfMoney
        if names & TOO_LONG or any(words in message for words in TOO_LONG_WORDS):
            return errors.TooLong
        if names & FILTERED:
            return errors.ContentFiltered
    if status is None:
        return next((BY_NAME[name] for name in names if name in BY_NAME), errors.ProviderUnavailable)
    if status in BY_STATUS:
        return BY_STATUS[status]
    if "model_not_found" in names:
        return errors.ModelNotFound
    return errors.BadRequest if 400 <= status < 500 else errors.ProviderUnavailable


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from retry-after-ms or from Retry-After as a number or a date."""
    for header, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        if number := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*", headers.get(header, "")):
            return float(number[1]) * unit
    try:
        at = parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    return max(0.0, (at.astimezone(UTC) - datetime.now(UTC)).total_seconds())


KEY = re.compile(r"(?i)\bbearer\s+\S+|\b(?:sk|pk|rk|key|token)[-_][\w*.…-]{4,}|[\w-]*\*{3,}[\w-]*")


def redacted(message: str, secret: str = "") -> str:
    """A provider's message on one line, short, without keys or what is left of masked ones."""
    if secret:
        message = message.replace(secret, "[key]")
    message = " ".join(KEY.sub("[key]", message).split())
    return message if len(message) <= DETAIL_LENGTH else f"{message[:DETAIL_LENGTH]}…"
