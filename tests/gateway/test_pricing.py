from decimal import Decimal

import pytest

from apps.runs.gateway.pricing import UnknownPrice, cost_usd
from apps.runs.gateway.types import Price, Usage

PRICE = Price(
    Decimal(3), Decimal(15), cache_read=Decimal("0.30"), cache_write=Decimal("3.75"), cache_write_1h=Decimal(6)
)


def test_parts_of_the_input_are_not_counted_twice():
    usage = Usage(1000, 200, cached_tokens=600, cache_write_tokens=200, cache_write_1h_tokens=100, reasoning_tokens=150)

    # 100 plain, 600 read, 200 written, 100 written for an hour, 200 out: thoughts are in the output already.
    assert cost_usd(usage, PRICE) == Decimal("0.004830")


def test_rounded_up_to_the_micro_dollar():
    assert cost_usd(Usage(1, 0), Price(Decimal("0.01"), Decimal(1))) == Decimal("0.000001")


def test_nothing_used_costs_nothing():
    assert cost_usd(Usage(0, 0), Price(None, None)) == Decimal(0)


def test_free_is_a_price():
    assert cost_usd(Usage(10, 10), Price(Decimal(0), Decimal(0))) == Decimal(0)


def test_kind_without_a_price_costs_what_input_costs():
    usage = Usage(1_000_000, 0, cached_tokens=400_000, cache_write_1h_tokens=100_000)

    assert cost_usd(usage, Price(Decimal(2), Decimal(8))) == Decimal(2)


def test_hour_without_a_price_costs_what_a_write_costs():
    usage = Usage(1_000_000, 0, cache_write_1h_tokens=1_000_000)

    assert cost_usd(usage, Price(Decimal(2), Decimal(8), cache_write=Decimal(3))) == Decimal(3)


def test_unpriced_output_is_not_free():
    with pytest.raises(UnknownPrice, match="no price for output tokens"):
        cost_usd(Usage(10, 1), Price(Decimal(1), None))


def test_more_cached_than_asked_never_costs_less_than_nothing():
    assert cost_usd(Usage(10, 0, cached_tokens=20), PRICE) == Decimal("0.000006")
