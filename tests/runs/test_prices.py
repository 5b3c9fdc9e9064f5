"""Model prices: seeded, dated, tiered, and an admin's own kept."""

from datetime import date
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from apps.runs.models import ModelPrice, Processing
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


def test_files_have_prices_of_their_own(db: None, settings: object) -> None:
    for provider, model in (("openai", settings.OPENAI_MODEL), ("anthropic", settings.ANTHROPIC_MODEL)):
        rows = ModelPrice.objects.filter(provider=provider, model=model).order_by("-valid_from")
        online, batch = (rows.filter(processing=processing).first() for processing in Processing)
        assert (batch.input_usd * 2, batch.output_usd * 2) == (online.input_usd, online.output_usd)
    assert ModelPrice.objects.of("offline", "extractive-1", processing=Processing.BATCH) is None


def test_an_operator_enters_what_files_of_a_model_cost(db: None) -> None:
    out = StringIO()

    call_command("prices", "set", "openai", "mine", "2", "4", stdout=out)
    call_command("prices", "set", "openai", "mine", "1", "2", "--batch", stdout=out)

    assert ModelPrice.objects.of("openai", "mine").input_usd == 2
    assert ModelPrice.objects.of("openai", "mine", processing=Processing.BATCH).input_usd == 1
    assert out.getvalue().splitlines()[1] == "openai mine, within 24 hours: $1 in, $2 out."
