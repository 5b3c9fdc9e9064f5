"""When a payment has failed: what the owners are told, what happens when, and what still works."""

from dataclasses import dataclass
from datetime import datetime

from .models import Subscription

Status = Subscription.Status


@dataclass(frozen=True, slots=True)
class Owed:
    """`headline` and `consequence` are sentences; `next_at` is when the card is tried again, None if it isn't."""

    headline: str
    consequence: str
    since: datetime | None
    next_at: datetime | None


def owed(bought: Subscription | None) -> Owed | None:
    """What is to be said, or None if everything is paid."""
    if bought is None:
        return None
    if bought.status == Status.PAST_DUE:
        then = "if that fails too" if bought.next_payment_at else "unless it is paid"
        return Owed(
            "The last payment failed",
            f"Everything works as before; {then}, the workspace goes back to the free plan. Nothing in it is lost.",
            bought.past_due_since,
            bought.next_payment_at,
        )
    if bought.status == Status.UNPAID:
        return Owed(
            "An invoice is unpaid, so the free plan holds",
            "Everything that is in the workspace stays. Pay the invoice, and the plan holds again.",
            bought.past_due_since,
            None,
        )
    return None
