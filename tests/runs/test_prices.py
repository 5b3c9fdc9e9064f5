"""Model prices: seeded, dated, tiered, and an admin's own kept."""

from datetime import date
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

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


def test_an_operator_enters_the_price_of_a_model_of_their_own(db: None) -> None:
    out = StringIO()

    call_command("prices", "set", "openai", "llama3.2", "0", "0", stdout=out)
    call_command("prices", "set", "openai", "llama3.2", "0.1", "0.2", stdout=out)

    price = ModelPrice.objects.of("openai", "llama3.2")
    assert (price.input_usd, price.output_usd) == (Decimal("0.1"), Decimal("0.2"))
    assert out.getvalue().splitlines() == ["openai llama3.2: $0 in, $0 out.", "openai llama3.2: $0.1 in, $0.2 out."]


@pytest.mark.parametrize("amount", ["-1", "NaN", "Infinity", "a lot"])
def test_what_is_no_price_is_refused(db: None, amount: str) -> None:
    with pytest.raises(CommandError, match="no amount of US dollars"):
        call_command("prices", "set", "openai", "llama3.2", "--", amount, "1")
    assert ModelPrice.objects.of("openai", "llama3.2") is None
