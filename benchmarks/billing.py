"""A day of many workspaces with faults, and whether the money agrees afterwards; then a thousand shuffled months.

    python -m benchmarks.billing [WORKSPACES RUNS SHUFFLES]

Every run goes through the ledger, several at a time, and is then dated back to some minute of this UTC day. Some end
late, some are lost and come back. Meanwhile the outbox is filled and sent to a Stripe of our own that answers with
errors, hangs up before and after it has taken an event, and is forgotten by senders that are killed. Ends with an error
if runs, ledger, outbox and Stripe's sums differ by a token or a millionth of a dollar, or if the order or number of
webhooks ever made another end.
"""

import random
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

from benchmarks.stage import stage

HOW = ("after", "500", "before", "429")


@contextmanager
def stripe() -> Iterator[Any]:
    """A Stripe with our plans, and settings that charge through it."""
    from django.conf import settings

    from apps.billing import stripe_client, stripe_sync
    from tests.billing.stripe_stub import SECRET, Server, Stripe

    server = Server(Stripe())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    settings.BILLING, settings.STRIPE_SECRET_KEY = "stripe", "sk_test_of_the_benchmark"
    settings.STRIPE_API_URL, settings.STRIPE_WEBHOOK_SECRETS = server.state.url, [SECRET]
    for change in stripe_sync.compare(stripe_client.client()):
        change.make()
    try:
        yield server.state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def subscribed(api: Any, number: int) -> Any:
    """A workspace that pays, since midnight."""
    from django.utils import timezone

    from apps.billing.choose import Pages, choose
    from apps.billing.follow import follow
    from apps.billing.models import PlanPeriod
    from apps.tenants.context import tenant_context
    from apps.tenants.models import User
    from apps.tenants.signup import create_workspace

    owner = User.objects.create_user(f"owner{number}@example.com", None)
    tenant = create_workspace(f"Workspace {number}", owner=owner, slug=f"w{number}")
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    with tenant_context(tenant):
        choose("pro", 1 + number % 5, tenant, owner, Pages("http://localhost/done", "http://localhost/back"))
        api.pay(api.all("checkout.session")[-1]["id"])
        follow()
        PlanPeriod.objects.update(starts_at=midnight, metered_until=midnight)
    return tenant


def use(tenant: Any, runs: int, hours: int, chance: random.Random) -> list[Any]:
    """Runs through the ledger, dated back; returns those that haven't ended."""
    from django.utils import timezone

    from apps.runs import configuration, ledger
    from apps.runs.models import Run
    from apps.tenants.context import tenant_context

    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    late = []
    with tenant_context(tenant):
        revision = configuration.current().revision
        for number in range(runs):
            run = Run(
                feature=chance.choice(["chat", "api"]),
                provider="offline",
                model="offline",
                payer=chance.choice(["platform", "platform", "tenant"]),
                kind=chance.choice(["completion", "completion", "embedding"]),
                reserved_usd=Decimal(1),
            )
            run.reserved_tokens = 20_000 if run.kind == Run.Kind.COMPLETION else 0  # as embed() does
            ledger.begin(run, revision=revision)
            at = midnight + timedelta(seconds=chance.randrange(hours * 3600))
            Run.objects.filter(pk=run.pk).update(created_at=at)
            if number % 10 == 0:
                late.append(run)
                if number % 20 == 0:
                    ledger.close_lost(tenant.id, run.pk)
            else:
                end(run, chance)
    return late


def end(run: Any, chance: random.Random) -> None:
    from apps.runs import ledger

    run.status = chance.choice(["ok", "ok", "ok", "stopped", "failed"])
    run.input_tokens, run.output_tokens = chance.randrange(10_000), chance.randrange(2_000)
    run.cost_usd = Decimal(chance.randrange(1_000_000)) / 1_000_000
    ledger.close(run)


def at_once(work: Any, tenants: list[Any]) -> list[Any]:
    """Each workspace in a thread of its own, four at a time."""
    from concurrent.futures import ThreadPoolExecutor

    from django.db import connections

    def done(tenant: Any) -> Any:
        try:
            return work(tenant)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(done, tenants))


def main(workspaces: int, runs: int, shuffles: int) -> None:
    with stage():
        import logging

        from django.core.management import call_command
        from django.utils import timezone

        from apps.billing import everybody, meter, send
        from apps.billing.models import MeterEvent
        from apps.tenants.context import tenant_context
        from tests.billing.killed import send_and_be_killed
        from tests.billing.stripe_stub import Fault

        logging.getLogger("apps.billing.send").setLevel(logging.CRITICAL)  # faults are what it is about
        hours = meter.closed().hour
        if hours < 2:
            sys.exit("This UTC day is too young: begin after 02:02 UTC.")
        with stripe() as api:
            chance, began = random.Random(1), time.monotonic()
            tenants = [subscribed(api, number) for number in range(workspaces)]
            each = runs // workspaces
            late = at_once(lambda tenant: use(tenant, each, hours, random.Random(tenant.slug)), tenants)
            print(f"{each * workspaces:,} runs of {workspaces} workspaces in {time.monotonic() - began:.0f} s")
            began = time.monotonic()
            api.faults += [Fault("billing/meter_events", how, times=workspaces * 3) for how in HOW]
            for turn in range(6):
                everybody.meter_all()
                at_once(lambda tenant: in_context(tenant, lambda: send.send(limit=20)), tenants)
                for tenant, waiting in zip(tenants, late, strict=True):
                    with tenant_context(tenant):
                        for run in waiting[turn::6]:
                            end(run, chance)
                MeterEvent.unscoped.using("platform").update(next_attempt_at=timezone.now())
            killed = kill_some(tenants[:3], api, send_and_be_killed)
            everybody.look_again()
            while MeterEvent.unscoped.using("platform").filter(status__in=MeterEvent.OPEN).exists():
                MeterEvent.unscoped.using("platform").update(next_attempt_at=timezone.now())
                everybody.send_all()
            taken, asked = len(api.meter_events), api.calls["POST billing/meter_events"]
            print(
                f"{taken:,} meter events, {asked - taken:,} sent again, {killed} senders killed, "
                f"in {time.monotonic() - began:.0f} s"
            )
            call_command("reconcile", "--workspace", tenants[0].slug, "--from", f"{timezone.now():%Y-%m-%d}")
            call_command("reconcile", "--from", f"{timezone.now():%Y-%m-%d}")
            shuffle(api, tenants[0], shuffles)


def in_context(tenant: Any, work: Any) -> Any:
    from apps.tenants.context import tenant_context

    with tenant_context(tenant):
        return work()


def kill_some(tenants: list[Any], api: Any, send_and_be_killed: Any) -> int:
    from django.conf import settings
    from django.utils import timezone

    from apps.billing import meter
    from apps.billing.models import MeterEvent
    from apps.tenants.context import tenant_context

    killed = 0
    api.faults.clear()
    for tenant in tenants:
        with tenant_context(tenant):
            meter.meter()
            MeterEvent.objects.update(next_attempt_at=timezone.now())
            if MeterEvent.objects.filter(status__in=MeterEvent.OPEN).exists():
                send_and_be_killed(tenant.id, api.url, settings.STRIPE_SECRET_KEY)
                killed += 1
    return killed


def shuffle(api: Any, tenant: Any, times: int) -> None:
    """What a subscription goes through, told in any order and more than once, has one end."""
    from apps.billing import webhooks
    from apps.billing.models import StripeEvent, Subscription
    from apps.tenants.context import tenant_context
    from tests.billing.test_webhooks import live_through, signed_bytes, state

    with tenant_context(tenant):
        bought = Subscription.objects.get()
    api.events = [event for event in api.events if event["data"]["object"].get("customer") == bought.stripe_customer_id]
    live_through(api, bought)
    chance, ends, began, told = random.Random(7), set(), time.monotonic(), 0
    for _ in range(times):
        events = [event for event in api.events for _ in range(chance.choice((1, 1, 2, 3)))]
        chance.shuffle(events)
        told += len(events)
        StripeEvent.objects.using("platform").all().delete()
        for part in (events[: len(events) // 2], events[len(events) // 2 :]):
            for event in part:
                webhooks.store(*signed_bytes(event))
            webhooks.process()
        ends.add(str(state(tenant)))
    took = time.monotonic() - began
    print(f"{told:,} webhooks in {times:,} orders: {len(ends)} end{'s' if len(ends) != 1 else ''}, in {took:.0f} s")
    if len(ends) != 1:
        sys.exit("\n".join(ends))


if __name__ == "__main__":
    main(*(map(int, sys.argv[1:4]) if len(sys.argv) == 4 else (20, 10_000, 1_000)))
