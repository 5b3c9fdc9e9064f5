"""A Stripe of the tests, plans in force, and runs at any time."""

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from apps.billing import stripe_client, stripe_sync
from apps.billing.models import Subscription
from apps.runs.models import Run
from apps.tenants.context import tenant_context, user_context
from tests.conftest import Cast

from .stripe_stub import SECRET, Server, Stripe


@pytest.fixture(scope="session")
def stripe_server() -> Iterator[Server]:
    server = Server(Stripe())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def stripe_api(stripe_server: Server, settings: Any) -> Stripe:
    """A Stripe that nobody has used yet, and an installation that charges through it."""
    url = stripe_server.state.url
    stripe_server.state = Stripe(url=url)
    settings.BILLING = "stripe"
    settings.STRIPE_SECRET_KEY = "sk_test_of_the_tests"
    settings.STRIPE_API_URL = url
    settings.STRIPE_WEBHOOK_SECRETS = [SECRET]
    stripe_client._meter_ids.clear()
    return stripe_server.state


@pytest.fixture
def with_plans(stripe_api: Stripe) -> Stripe:
    """It has the meters, products and prices of our plans."""
    for change in stripe_sync.compare(stripe_client.client()):
        change.make()
    stripe_api.calls.clear()
    return stripe_api


@pytest.fixture
def local_mode(settings: Any) -> None:
    settings.BILLING = "local"


def an_hour_ago() -> datetime:
    """The beginning of the last hour but one that is over: nothing in it is too new to be metered."""
    return timezone.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)


def make_run(at: datetime, **values: Any) -> Run:
    """A run of the active tenant that began at that time and has ended, as the ledger would have written it."""
    given = {
        "feature": "chat",
        "provider": "offline",
        "model": "offline",
        "status": "ok",
        "input_tokens": 100,
        "output_tokens": 20,
        "cost_usd": Decimal("0.012345"),
        "created_at": at,
        "finished_at": at + timedelta(seconds=1),
    } | values
    if given["status"] == "running":
        given |= {"finished_at": None, "cost_usd": None}
    return Run.objects.create(**given)


@pytest.fixture
def alice(cast: Cast) -> Iterator[Cast]:
    """Alice acts in Acme."""
    with user_context(cast.alice), tenant_context(cast.acme):
        yield cast


def subscribe(api: Stripe, cast: Cast, plan: str = "pro", seats: int = 3) -> Subscription:
    """Acme buys a plan and pays for it, and has heard of it. Needs its context."""
    from apps.billing.choose import Pages, choose
    from apps.billing.follow import follow

    choose(plan, seats, cast.acme, cast.alice, Pages("http://localhost/done", "http://localhost/back"))
    session = api.all("checkout.session")[-1]
    api.pay(session["id"])
    bought = follow()
    assert bought
    return bought
