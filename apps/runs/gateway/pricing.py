"""What a call costs. Pure arithmetic on prices that the caller looked up."""

from decimal import ROUND_CEILING, Decimal

from .types import Price, Usage

__all__ = ["Price", "UnknownPrice", "cost_usd"]

MILLION = Decimal(1_000_000)
MICRO_DOLLAR = Decimal("0.000001")


class UnknownPrice(Exception):
    """Tokens of this kind were used and there is no price for them. Not the same as costing nothing."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"There is no price for {kind} tokens.")
        self.kind = kind


def cost_usd(usage: Usage, price: Price) -> Decimal:
    """Price of one reply in US dollars, rounded up to the micro-dollar.

    Token counts are inclusive: cached tokens and cache writes are part of input_tokens, reasoning tokens part of
    output_tokens. A kind of input without a price of its own costs what plain input costs, and a one-hour write
    what a write costs. Raises UnknownPrice if tokens were used that have no price at all.
    """
    written = usage.cache_write_tokens + usage.cache_write_1h_tokens
    cache_write = first_known(price.cache_write, price.input)
    lines = (
        ("input", usage.input_tokens - usage.cached_tokens - written, price.input),
        ("cache read", usage.cached_tokens, first_known(price.cache_read, price.input)),
        ("cache write", usage.cache_write_tokens, cache_write),
        ("cache write", usage.cache_write_1h_tokens, first_known(price.cache_write_1h, cache_write)),
        ("output", usage.output_tokens, price.output),
    )
    total = Decimal(0)
    for kind, tokens, usd_per_million in lines:
        if tokens <= 0:
            continue
        if usd_per_million is None:
            raise UnknownPrice(kind)
        total += tokens * usd_per_million
    return (total / MILLION).quantize(MICRO_DOLLAR, rounding=ROUND_CEILING)


def first_known(*prices: Decimal | None) -> Decimal | None:
    return next((price for price in prices if price is not None), None)
