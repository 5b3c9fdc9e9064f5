"""What a workspace has bought, what its use is billed as, and what Stripe told us."""

from .meter_event import MeterEvent
from .stripe_event import StripeEvent
from .subscription import PlanPeriod, Subscription

__all__ = ["MeterEvent", "PlanPeriod", "StripeEvent", "Subscription"]
