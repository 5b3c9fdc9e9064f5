"""Seeds ModelPrice from genai-prices, a package of dated prices with their sources. Works offline."""

from datetime import date
from decimal import Decimal
from importlib.metadata import version
from typing import Any

from django.utils import timezone
from genai_prices.data_snapshot import get_snapshot

from .models import ModelPrice, Processing

PROVIDERS = ("openai", "anthropic")
LONG_AGO = date(2000, 1, 1)
BATCH = {"processing": "batch"}  # which of a model's variants are the prices of files
# What runs on our own machine is priced at nothing, which is not the same as having no price.
FREE = (("offline", "extractive-1"), ("local", "all-MiniLM-L6-v2-int8"))


def sync() -> int:
    """Add the prices that aren't there yet; one that an admin edited stays. Returns how many were added."""
    rows = [ModelPrice(provider=p, model=m, valid_from=LONG_AGO, input_usd=0, source="runs here") for p, m in FREE]
    rows += [row for provider in get_snapshot().providers if provider.id in PROVIDERS for row in rows_of(provider)]
    before = ModelPrice.objects.count()
    ModelPrice.objects.bulk_create(rows, ignore_conflicts=True)
    return ModelPrice.objects.count() - before


def enter(
    provider: str,
    model: str,
    *,
    input_usd: Decimal,
    output_usd: Decimal,
    processing: Processing = Processing.ONLINE,
) -> ModelPrice:
    """What requests of any length to a model cost from today on, in US dollars per million tokens."""
    price, _ = ModelPrice.objects.update_or_create(
        provider=provider,
        model=model,
        processing=processing,
        valid_from=timezone.now().date(),
        min_input_tokens=0,
        defaults={"input_usd": input_usd, "output_usd": output_usd, "source": "entered by hand"},
    )
    return price


def rows_of(provider: Any) -> list[ModelPrice]:
    rows = []
    for model in provider.models:
        online = model.prices if isinstance(model.prices, list) else [model.prices]
        batch = [variant for variant in model.price_variants or () if variant.when == BATCH]
        for processing, dated in ((Processing.ONLINE, online), (Processing.BATCH, batch)):
            starts = [start_of(entry) for entry in dated]
            for entry, start, end in zip(dated, starts, ([*starts[1:], None] if dated else []), strict=True):
                for minimum, amounts in tiers(getattr(entry, "prices", entry)).items():
                    made = row(provider.id, model.id, start, end, minimum, amounts)
                    made.processing = processing
                    rows.append(made)
    return rows


def start_of(entry: Any) -> date:
    constraint = getattr(entry, "constraint", None)
    return getattr(constraint, "start_date", None) or LONG_AGO


FIELDS = {
    "input_mtok": "input_usd",
    "output_mtok": "output_usd",
    "cache_read_mtok": "cache_read_usd",
    "cache_write_mtok": "cache_write_usd",
    "cache_write_1h_mtok": "cache_write_1h_usd",
}


def tiers(prices: Any) -> dict[int, dict[str, Decimal]]:
    """The price fields by the number of input tokens they hold from: 0, and where a long-context tier begins."""
    plain: dict[str, Decimal] = {}
    long: dict[int, dict[str, Decimal]] = {}
    for name, field in FIELDS.items():
        value = getattr(prices, name, None)
        if value is None:
            continue
        plain[field] = getattr(value, "base", value)
        for tier in getattr(value, "tiers", ()):
            long.setdefault(tier.start + 1, {})[field] = tier.price
    if "input_usd" not in plain:  # priced by the second, the image or the character: not by tokens
        return {}
    return {0: plain} | {start: plain | amounts for start, amounts in long.items()}


def row(
    provider: str, model: str, start: date, end: date | None, minimum: int, amounts: dict[str, Decimal]
) -> ModelPrice:
    source = f"genai-prices {version('genai-prices')}"
    return ModelPrice(
        provider=provider,
        model=model,
        valid_from=start,
        valid_to=end,
        min_input_tokens=minimum,
        source=source,
        **amounts,
    )
