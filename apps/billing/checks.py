"""System checks: an installation that charges can, and one that doesn't is one on purpose."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from . import plan_files


@register(Tags.security)
def billing_is_meant(app_configs: Any = None, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    try:
        plan_files.generations()
    except plan_files.BadPlanFile as error:
        found.append(Error(str(error), id="billing.E001"))
    if settings.BILLING == "stripe":
        found += stripe_is_complete()
    elif settings.STRIPE_SECRET_KEY:
        found.append(
            Warning(
                f"STRIPE_SECRET_KEY is set, and BILLING is {settings.BILLING}: nobody is charged.",
                hint="Remove BILLING, or set it to stripe.",
                id="billing.W001",
            )
        )
    if settings.BILLING == "local" and not settings.DEBUG:
        found.append(
            Warning(
                "BILLING is local: whoever chooses a plan has it at once, and nobody is charged.",
                hint="It is for one's own machine. Set STRIPE_SECRET_KEY and remove BILLING, or set it to off.",
                id="billing.W002",
            )
        )
    return found


def stripe_is_complete() -> list[CheckMessage]:
    found: list[CheckMessage] = []
    for name in ("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRETS"):
        if not getattr(settings, name):
            found.append(
                Error(
                    f"BILLING is stripe, and {name} is not set.",
                    hint="See docs/billing.md.",
                    id=f"billing.E00{len(found) + 2}",
                )
            )
    is_open = settings.HTTPS and not settings.DEBUG
    if is_open and (settings.STRIPE_API_URL or settings.STRIPE_SECRET_KEY.startswith(("sk_test_", "rk_test_"))):
        found.append(
            Warning(
                "A test key or a stand-in for Stripe is set on a public site: nobody is really charged.",
                hint="Set the live key, and remove STRIPE_API_URL.",
                id="billing.W003",
            )
        )
    return found
