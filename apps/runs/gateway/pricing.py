"""What a call costs. Pure arithmetic on prices that the caller looked up."""

from collections.abc import Iterable, Sequence
from decimal import ROUND_CEILING, Decimal

from .types import Price, Usage

__all__ = ["Price", "UnknownPrice", "cost_usd", "most_usd", "price_for"]

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


def most_usd(prices: Iterable[Price], *, input_tokens: int, output_tokens: int) -> Decimal:
    """What a call of at most so many tokens can cost, whichever of the prices holds: every token of the input at the
    dearest rate there is for one, as if all of it were written to the cache.

    Raises UnknownPrice if tokens have no price, or there is none at all.
    """
    worst = [
        input_tokens * dearest_input(price) + (output_tokens * known(price.output, "output") if output_tokens else 0)
        for price in prices
        if price.min_input_tokens <= input_tokens
    ]
    if not worst:
        raise UnknownPrice("any")
    return (max(worst) / MILLION).quantize(MICRO_DOLLAR, rounding=ROUND_CEILING)


def dearest_input(price: Price) -> Decimal:
    rates = (price.input, price.cache_read, price.cache_write, price.cache_write_1h)
    return max(known(price.input, "input"), *(rate for rate in rates if rate is not None))


def known(price: Decimal | None, kind: str) -> Decimal:
    if price is None:
        raise UnknownPrice(kind)
    return price


def price_for(prices: Sequence[Price], usage: Usage) -> Price:
    """The price of a call that used so much: of those that hold from fewer input tokens, the one of the most."""
    return max(
        (price for price in prices if price.min_input_tokens <= usage.input_tokens),
        key=lambda price: price.min_input_tokens,
        default=prices[0],
    )


def first_known(*prices: Decimal | None) -> Decimal | None:
    return next((price for price in prices if price is not None), None)
