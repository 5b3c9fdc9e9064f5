"""Why a call is refused before a model is asked, as one tree. A refused call costs nothing and uses no quota.

    Refusal
    ├── BudgetSpent       a hard budget could be exceeded; carries its scope, its cap and when it begins anew
    ├── BudgetBusy        the same, only while calls under way hold what is left
    ├── TooManyRequests   of one person or key in a minute
    ├── TooManyTokens     of the workspace in a day
    ├── Unpriced          no model that could answer has a price
    ├── NoHalfPrice       the same for files that are answered within a day
    ├── NoModelAllowed    the workspace allows none of the configured models
    ├── SwitchedOff       an operator or the workspace switched the feature off
    ├── KeyClosed         the API key was revoked or has expired
    ├── TooLarge          longer than the workspace's policy allows
    └── Objectionable     the guard or the provider's moderation objects to it

Each says what happened and what to do, to the person who asked. `http_status` is how the API says it.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar

BUSY_RETRY_S = 5


class Refusal(Exception):
    code: ClassVar[str] = "refused"
    http_status: ClassVar[int] = 403
    message: str = "This can't be asked."
    action: str = "Ask an owner or admin of the workspace."
    resets_at: datetime | None = None

    def __init__(
        self, message: str = "", action: str = "", *, code: str = "", resets_at: datetime | None = None
    ) -> None:
        self.message = message or self.message
        self.action = action or self.action
        self.resets_at = resets_at or self.resets_at
        if code:
            self.code = code  # type: ignore[misc]  # one of its class's own
        super().__init__(self.message)

    @property
    def retry_after_s(self) -> int | None:
        """Whole seconds until it is worth trying again; None if waiting doesn't help."""
        if self.resets_at is None:
            return None
        return max(1, -int(-(self.resets_at - datetime.now(UTC)).total_seconds() // 1))

    def as_json(self) -> dict[str, Any]:
        """What the ledger writes with the refused run."""
        return {"code": self.code}


PERIODS = {"day": "daily", "month": "monthly"}
WHOSE = {
    "workspace": "The workspace has reached its",
    "user": "You have reached your",
    "feature": "This feature has reached its",
    "api_key": "This API key has reached its",
}


class BudgetSpent(Refusal):
    code = "budget_spent"
    http_status = 429

    def __init__(
        self,
        *,
        scope: str,
        subject: str,
        period: str,
        cap_usd: Decimal,
        spent_usd: Decimal,
        needed_usd: Decimal,
        resets_at: datetime,
    ) -> None:
        self.scope, self.subject, self.period = scope, subject, period
        self.cap_usd, self.spent_usd, self.needed_usd = cap_usd, spent_usd, needed_usd
        super().__init__(*self.words(), resets_at=resets_at)

    def words(self) -> tuple[str, str]:
        whose, left_usd = WHOSE[self.scope], max(Decimal(0), self.cap_usd - self.spent_usd)
        what = f"{whose} {PERIODS[self.period]} budget of {dollars(self.cap_usd)}"
        if left_usd:
            what += f": {dollars(left_usd)} are left, and this could cost {dollars(self.needed_usd)}"
        return f"{what}.", "Wait until it begins anew, or ask an owner or admin to raise it."


class BudgetBusy(BudgetSpent):
    code = "budget_busy"

    def words(self) -> tuple[str, str]:
        whose = WHOSE[self.scope].removesuffix(" its").removesuffix(" your")
        what = f"{whose} the rest of a {PERIODS[self.period]} budget of {dollars(self.cap_usd)} with calls under way."
        return what.replace("reached", "reserved"), "Try again in a few seconds."

    @property
    def retry_after_s(self) -> int | None:
        return BUSY_RETRY_S


class TooManyRequests(Refusal):
    code = "too_many_requests"
    http_status = 429

    def __init__(self, *, limit: int, resets_at: datetime | None) -> None:
        super().__init__(
            f"That is more than {limit:,} {'request' if limit == 1 else 'requests'} in one minute.",
            "Wait a moment and ask again." if resets_at else "An owner can choose a plan that allows requests.",
            resets_at=resets_at,
        )


class TooManyTokens(Refusal):
    code = "too_many_tokens"
    http_status = 429

    def __init__(self, *, limit: int, used: int, resets_at: datetime) -> None:
        super().__init__(
            f"The workspace may use {limit:,} tokens a day, has used {used:,}, and this could take more than the rest.",
            "Wait until the day is over, or ask an owner about a larger plan.",
            resets_at=resets_at,
        )


class Unpriced(Refusal):
    """No price is known, and so no bound on what the call could cost."""

    code = "unpriced"
    http_status = 409

    def __init__(self, models: list[str]) -> None:
        self.models = models
        names = ", ".join(models)
        super().__init__(
            f"Nobody has entered a price for {names}, so what this could cost can't be bounded.",
            "An operator enters it in the platform's admin under Prices. If it is asked with the workspace's own key, "
            "an owner or admin enters it under Settings, Provider keys.",
        )


class NoHalfPrice(Refusal):
    code = "no_half_price"
    http_status = 409
    message = "No model that would be asked has a price for answers within 24 hours."
    action = "Choose “now” instead, or another tier."


class NoModelAllowed(Refusal):
    code = "no_model_allowed"
    http_status = 409
    message = "This workspace allows none of the models that are configured now."
    action = "An owner or admin can allow others under Settings, Models."


class SwitchedOff(Refusal):
    code = "switched_off"
    http_status = 503
    message = "AI is switched off at the moment."
    action = "Documents, search by words and everything asked before are there as always."


class KeyClosed(Refusal):
    code = "key_closed"
    http_status = 401
    message = "This API key no longer counts."
    action = "Make a new one under Settings, API keys."


class TooLarge(Refusal):
    code = "too_large"
    http_status = 413


class Objectionable(Refusal):
    code = "objectionable"
    http_status = 400
    message = "This question can't be passed on to a model."
    action = "Ask it in other words."

    def __init__(self, *words: str, flags: tuple[str, ...] = (), code: str = "") -> None:
        super().__init__(*words, code=code)
        self.flags = flags


def dollars(usd: Decimal) -> str:
    """At least to the cent, and as exact as it is kept: "$5.00", "$0.000125"."""
    text = f"{usd.normalize():f}"
    whole, _, cents = text.partition(".")
    return f"${int(whole):,}.{cents.ljust(2, '0')}"


def read(refused: dict[str, Any]) -> Refusal:
    """The refusal that the ledger answered with."""
    at = refused.get("resets_at")
    resets_at = datetime.fromisoformat(at) if at else None
    code = refused["code"]
    if code == TooManyRequests.code:
        return TooManyRequests(limit=refused["limit"], resets_at=resets_at)
    if resets_at is None:
        raise ValueError(f"The ledger refused with {code!r}, and said nothing of when it ends.")
    if code == TooManyTokens.code:
        return TooManyTokens(limit=refused["limit"], used=refused["used"], resets_at=resets_at)
    return (BudgetSpent if code == BudgetSpent.code else BudgetBusy)(
        scope=refused["scope"],
        subject=refused["subject"],
        period=refused["period"],
        cap_usd=Decimal(refused["cap_usd"]),
        spent_usd=Decimal(refused["spent_usd"]),
        needed_usd=Decimal(refused["needed_usd"]),
        resets_at=resets_at,
    )
