"""`manage.py stripe_sync` over HTTP: what is made, and that it is made once."""

from decimal import Decimal
from io import StringIO

import pytest
import stripe
from django.core.management import CommandError, call_command

from apps.billing import plan_files, stripe_client
from apps.billing.models.meter_event import Meter

from .stripe_stub import Stripe


def run(*args: str) -> str:
    out = StringIO()
    call_command("stripe_sync", *args, stdout=out)
    return out.getvalue()


def test_it_makes_everything_once(stripe_api: Stripe) -> None:
    tried, first, second = run("--dry-run"), "", ""
    assert not stripe_api.things and "+ meter corbel_usage_usd" in tried

    first, second = run(), run()

    assert "16 made, 0 changed, 0 replaced, 0 as they should be" in first
    assert second.splitlines()[-1] == "0 made, 0 changed, 0 replaced, 16 as they should be: done."
    assert {each["event_name"] for each in stripe_api.all("billing.meter")} == {f"corbel_{each}" for each in Meter}


def test_prices_are_what_the_plan_says(with_plans: Stripe) -> None:
    pro = plan_files.newest()["pro"]
    prices = {each["lookup_key"]: each for each in with_plans.all("price")}
    seat, usage, own = (
        prices[stripe_client.lookup_key(pro.generation, "pro", part)] for part in ("seat", "usage", "own_keys")
    )

    assert Decimal(seat["unit_amount_decimal"]) == pro.price_usd * 100
    assert seat["recurring"]["usage_type"] == "licensed"
    assert [(each["up_to"], Decimal(each["unit_amount_decimal"])) for each in usage["tiers"]] == [
        (int(pro.included_usd * 1_000_000), 0),
        (None, Decimal("0.0001")),
    ]
    assert Decimal(own["unit_amount_decimal"]) == Decimal("0.05")  # 50 cents a thousand


def test_what_was_changed_over_there_is_changed_back(with_plans: Stripe) -> None:
    product = with_plans.find("corbel_2026-11_pro_seat", "product")
    price = next(each for each in with_plans.all("price") if each["lookup_key"] == "corbel_2026-11_pro_seat")
    product["name"], price["unit_amount_decimal"] = "Something", "1"

    said = run()

    assert "~ product corbel_2026-11_pro_seat: name: Something → Pro" in said
    assert "± price corbel_2026-11_pro_seat: amount: 1 → 2400" in said
    assert not price["active"] and price["lookup_key"] is None
    assert run().endswith("16 as they should be: done.\n")


@pytest.mark.parametrize(
    "params",
    [
        {"name": "Acme", "plan": "pro"},  # was a parameter once, and is none of a customer's
        {"address": {"street": "x"}},
        {"tax_exempt": "perhaps"},
    ],
)
def test_the_stub_takes_only_what_the_sdks_types_allow(stripe_api: Stripe, params: dict) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        stripe_client.client().v1.customers.create(params)


def test_without_a_key_it_says_what_to_do(settings: object) -> None:
    settings.STRIPE_SECRET_KEY = ""

    with pytest.raises(CommandError, match="Set it, or BILLING=local"):
        run()
