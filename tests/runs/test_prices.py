"""Model prices: seeded, dated, tiered, and an admin's own kept."""

from datetime import date
from decimal import Decimal

from apps.runs.models import ModelPrice
from apps.runs.prices import sync


def test_seeding_again_keeps_what_an_admin_entered(db: None) -> None:
    price = ModelPrice.objects.of("openai", "gpt-5-mini")
    ModelPrice.objects.filter(pk=price.pk).update(input_usd=Decimal("9.99"))

    assert sync() == 0
    assert ModelPrice.objects.of("openai", "gpt-5-mini").input_usd == Decimal("9.99")


def test_shipped_default_models_have_prices(db: None, settings: object) -> None:
    assert ModelPrice.objects.of("openai", settings.OPENAI_MODEL).output_usd > 0
    assert ModelPrice.objects.of("anthropic", settings.ANTHROPIC_MODEL).cache_read_usd > 0
    assert ModelPrice.objects.of("offline", "extractive-1").input_usd == 0
    assert ModelPrice.objects.of("openai", "no-such-model") is None


def test_a_long_request_takes_the_long_context_tier(db: None) -> None:
    ModelPrice.objects.create(provider="p", model="m", valid_from=date(2020, 1, 1), input_usd=1)
    ModelPrice.objects.create(
        provider="p", model="m", valid_from=date(2020, 1, 1), min_input_tokens=200_001, input_usd=2
    )

    assert ModelPrice.objects.of("p", "m", input_tokens=200_000).input_usd == 1
    assert ModelPrice.objects.of("p", "m", input_tokens=200_001).input_usd == 2


def test_a_price_holds_from_its_day_until_the_next(db: None) -> None:
    ModelPrice.objects.create(
        provider="p", model="m", valid_from=date(2020, 1, 1), valid_to=date(2021, 1, 1), input_usd=1
    )
    ModelPrice.objects.create(provider="p", model="m", valid_from=date(2021, 1, 1), input_usd=2)
    ModelPrice.objects.create(provider="p", model="m", valid_from=date(2999, 1, 1), input_usd=3)

    assert ModelPrice.objects.of("p", "m").input_usd == 2
