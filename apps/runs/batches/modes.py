"""When a batch is answered, and what each choice would cost: now, or within a day at half the price."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from decimal import Decimal

from django.db import transaction

from .. import configuration, route
from ..chain import OFFLINE
from ..models import Batch
from ..refusals import Refusal
from .claims import spent_usd
from .costs import Estimate, estimate
from .create import check_and_price
from .errors import Refused


@dataclass(frozen=True, slots=True)
class Offer:
    """One way: what it would cost, or why it can't be chosen. `cap_usd` is what is agreed to with it: what the rows
    that are left could cost at most, and what the preview has cost."""

    mode: Batch.Mode
    estimate: Estimate | None = None
    cap_usd: Decimal | None = None
    refusal: Refusal | None = None


def offers(batch: Batch) -> list[Offer]:
    """What a draft would cost in each mode."""
    return [offer(batch, mode) for mode in Batch.Mode]


def offer(batch: Batch, mode: Batch.Mode) -> Offer:
    supposed = copy(batch)
    supposed.mode = mode
    try:
        found = estimate(supposed)
    except Refusal as refusal:
        return Offer(mode, refusal=refusal)
    return Offer(mode, found, found.worst_usd + spent_usd(batch))


def is_offline() -> bool:
    """Whether no model can be asked but the one that only quotes documents, and follows no schema."""
    known = configuration.current()
    return all(choice.target == OFFLINE for tier in route.allowed_tiers(known) for choice in route.choices(known, tier))


def open_ones(found: Sequence[Offer]) -> list[Offer]:
    return [each for each in found if each.estimate is not None]


def choose(batch: Batch, mode: str) -> None:
    """Have a draft answered so, at that price. Raises Refused, and the Refusal where no model has such a price."""
    if mode not in Batch.Mode.values:
        raise Refused("Choose whether it is answered now or within 24 hours.")
    if batch.mode == mode:
        return
    with transaction.atomic():
        if not Batch.objects.select_for_update().filter(pk=batch.pk, status=Batch.Status.DRAFT).exists():
            raise Refused("This batch has been started already. See its results.")
        batch.mode = mode
        batch.worst_usd = check_and_price(batch)
        batch.save(update_fields=["mode", "worst_usd"])
