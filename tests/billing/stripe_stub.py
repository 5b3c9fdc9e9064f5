"""A small Stripe: its wire format over real HTTP for the real SDK, with a state of its own, and faults when told.

Forms are read as the SDK's own types declare them (`stripe_params`), so an unknown parameter is a 400, as it is there.
Idempotency keys replay the first answer; a meter event's identifier is taken once. What happens at Stripe without a
request is a method: somebody pays (`pay`), a card fails (`fail`), a month goes by (`renew`). Each writes the webhook
events that Stripe would send to `events`, for a test to deliver as often and in whatever order it likes.
"""

import copy
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import stripe

from . import stripe_params
from .stripe_params import Unknown

Thing = dict[str, Any]
DAY = 86_400
MONTH = 30 * DAY
SECRET = "whsec_of_the_tests"


class Answer(Exception):
    """An error of Stripe's: status, and what its body says."""

    def __init__(self, status: int, message: str, **more: Any) -> None:
        super().__init__(message)
        kind = {429: "rate_limit_error"}.get(status, "invalid_request_error" if status < 500 else "api_error")
        self.status, self.body = status, {"error": {"type": kind, "message": message, **more}}


@dataclass
class Fault:
    """What is to go wrong with requests to a path: `before` it was done, `after`, or instead an HTTP status."""

    path: str
    how: str
    times: int = 1


@dataclass
class Stripe:
    """The state. `calls` counts requests by method and path; `now` is its clock, in seconds."""

    things: dict[str, Thing] = field(default_factory=dict)
    events: list[Thing] = field(default_factory=list)
    meter_events: dict[str, Thing] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    answers: dict[str, tuple[str, int, Any]] = field(default_factory=dict)
    identifiers: set[str] = field(default_factory=set)
    now: Callable[[], int] = lambda: int(time.time())
    lock: Any = field(default_factory=threading.RLock)
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    # --- What a test does

    def forget_identifiers(self) -> None:
        """A day goes by: Stripe enforces identifiers no longer than that."""
        self.identifiers.clear()

    def metered(self, event_name: str, customer: str) -> Decimal:
        """Everything that was ever taken."""
        return sum(
            (Decimal(each["payload"]["value"]) for each in self.meter_events.values()
             if each["event_name"] == event_name and each["payload"]["stripe_customer_id"] == customer),
            Decimal(0),
        )  # fmt: skip

    def pay(self, session_id: str) -> Thing:
        """Somebody pays on the page of that session: its subscription begins."""
        with self.lock:
            session = self.things[session_id]
            asked = session["_asked"]
            data = asked.get("subscription_data", {})
            trial = data.get("trial_period_days")
            now = self.now()
            end = now + (trial * DAY if trial else MONTH)
            subscription = self.add(
                "sub",
                "subscription",
                customer=asked["customer"],
                status="trialing" if trial else "active",
                metadata=data.get("metadata", {}),
                cancel_at_period_end=False,
                trial_end=end if trial else None,
                trial_start=now if trial else None,
                ended_at=None,
                schedule=None,
                currency="usd",
                items=listed([self.item(each, now, end) for each in asked["line_items"]]),
            )
            subscription["latest_invoice"] = self.invoice(subscription, "paid")["id"]
            session |= {"status": "complete", "subscription": subscription["id"], "payment_status": "paid"}
            self.tell("checkout.session.completed", session)
            self.tell("customer.subscription.created", subscription)
            self.tell("invoice.paid", self.things[subscription["latest_invoice"]])
            return subscription

    def renew(self, subscription_id: str, *, paid: bool = True) -> None:
        """Its period ends: what was scheduled holds, what was cancelled ends, an invoice is paid or fails."""
        with self.lock:
            subscription = self.things[subscription_id]
            if subscription["cancel_at_period_end"]:
                self.end(subscription_id)
                return
            end = subscription["items"]["data"][0]["current_period_end"]
            schedule = self.things.get(subscription["schedule"] or "")
            if schedule:
                phase = schedule["phases"][-1]
                subscription["items"] = listed([self.item(each, end, end + MONTH) for each in phase["items"]])
                schedule["status"], subscription["schedule"] = "released", None
                self.tell("subscription_schedule.released", schedule)
            for item in subscription["items"]["data"]:
                item |= {"current_period_start": end, "current_period_end": end + MONTH}
            subscription["status"] = "active"
            self.charge(subscription, paid)

    def fail(self, subscription_id: str) -> None:
        """A card fails for the period that has just begun; Stripe tries again in three days."""
        with self.lock:
            self.charge(self.things[subscription_id], paid=False)

    def settle(self, subscription_id: str) -> None:
        """What was owed is paid."""
        with self.lock:
            subscription = self.things[subscription_id]
            invoice = self.things[subscription["latest_invoice"]]
            invoice |= {"status": "paid", "next_payment_attempt": None}
            subscription["status"] = "active"
            self.tell("invoice.paid", invoice)
            self.tell("customer.subscription.updated", subscription)

    def give_up(self, subscription_id: str) -> None:
        """The last attempt has failed."""
        with self.lock:
            subscription = self.things[subscription_id]
            self.things[subscription["latest_invoice"]]["next_payment_attempt"] = None
            subscription["status"] = "unpaid"
            self.tell("customer.subscription.updated", subscription)

    def end(self, subscription_id: str) -> None:
        with self.lock:
            subscription = self.things[subscription_id]
            subscription |= {"status": "canceled", "ended_at": self.now(), "canceled_at": self.now()}
            self.tell("customer.subscription.deleted", subscription)

    def charge(self, subscription: Thing, paid: bool) -> None:
        invoice = self.invoice(subscription, "paid" if paid else "open")
        subscription["latest_invoice"] = invoice["id"]
        if not paid:
            subscription["status"] = "past_due"
            invoice |= {"next_payment_attempt": self.now() + 3 * DAY, "attempt_count": 1}
        self.tell("invoice.paid" if paid else "invoice.payment_failed", invoice)
        self.tell("customer.subscription.updated", subscription)

    # --- How things are kept

    def add(self, prefix: str, kind: str, **values: Any) -> Thing:
        number = next(self.numbers)
        made = {"id": f"{prefix}_{number:06}", "object": kind, "created": self.now(), "livemode": False} | values
        self.things[made["id"]] = made
        return made

    def item(self, asked: Thing, begin: int, end: int) -> Thing:
        made = {"id": f"si_{next(self.numbers):06}", "object": "subscription_item", "price": self.price(asked["price"])}
        return made | {
            "quantity": asked.get("quantity"),
            "current_period_start": begin,
            "current_period_end": end,
            "metadata": {},
        }

    def price(self, price_id: str) -> Thing:
        found = self.find(price_id, "price")
        return {name: value for name, value in found.items() if name != "tiers"}

    def invoice(self, subscription: Thing, status: str) -> Thing:
        return self.add(
            "in",
            "invoice",
            customer=subscription["customer"],
            status=status,
            attempt_count=1 if status == "paid" else 0,
            next_payment_attempt=None,
            hosted_invoice_url=None,
            number=None,
            total=0,
        )

    def tell(self, kind: str, thing: Thing) -> None:
        told = {name: value for name, value in copy.deepcopy(thing).items() if not name.startswith("_")}
        event = {"object": "event", "type": kind, "created": self.now(), "api_version": stripe.api_version}
        self.events.append({"id": f"evt_{next(self.numbers):06}", **event, "data": {"object": told}})

    def find(self, id: str, kind: str) -> Thing:
        found = self.things.get(id)
        if found is None or found["object"] != kind:
            raise Answer(404, f"No such {kind}: '{id}'", code="resource_missing")
        return found

    def all(self, kind: str) -> list[Thing]:
        return [each for each in self.things.values() if each["object"] == kind]

    # --- What a request asks for

    def answer(self, method: str, path: str, form: str, key: str) -> Any:
        """The JSON of an answer. Raises Answer for Stripe's errors."""
        with self.lock:
            parts = path.removeprefix("/v1/").strip("/").split("/")
            route, found = self.route(method, parts)
            self.calls[f"{method} {route}"] += 1
            if key and key in self.answers:
                said, status, body = self.answers[key]
                if said != f"{path} {form}":
                    raise Answer(400, "Keys for idempotent requests can only be used with the same parameters.")
                if status != 200:
                    raise Answer(status, body)
                return body
            try:
                asked = stripe_params.read(form, stripe_params.TYPES[method, route])
            except Unknown as fault:
                raise Answer(400, str(fault), code="parameter_unknown") from fault
            body = getattr(self, found)(
                *[part for part, word in zip(parts, route.split("/"), strict=True) if word == "*"], asked
            )
            body = copy.deepcopy(body)
            if key:
                self.answers[key] = (f"{path} {form}", 200, body)
            return body

    def route(self, method: str, parts: list[str]) -> tuple[str, str]:
        for (verb, route), name in ROUTES.items():
            words = route.split("/")
            if (
                verb == method
                and len(words) == len(parts)
                and all(w in ("*", p) for w, p in zip(words, parts, strict=True))
            ):
                return route, name
        raise Answer(404, f"Unrecognized request URL ({method}: /v1/{'/'.join(parts)})")

    def make_customer(self, asked: Thing) -> Thing:
        return self.add("cus", "customer", **asked)

    def list_products(self, asked: Thing) -> Thing:
        return listed([each for each in self.all("product") if each["id"] in asked.get("ids", [each["id"]])])

    def make_product(self, asked: Thing) -> Thing:
        if asked.get("id") in self.things:
            raise Answer(400, "Product already exists.", code="resource_already_exists")
        made = self.add("prod", "product", active=True, description=None, unit_label=None)
        del self.things[made["id"]]
        made |= asked
        self.things[made["id"]] = made
        return made

    def change_product(self, id: str, asked: Thing) -> Thing:
        found = self.find(id, "product")
        found |= asked
        return found

    def list_prices(self, asked: Thing) -> Thing:
        if len(keys := asked.get("lookup_keys", [])) > 10:
            raise Answer(400, "You can look up at most 10 keys.")
        found = [each for each in self.all("price") if each["lookup_key"] in keys]
        found = [each for each in found if each["active"] == asked.get("active", each["active"])]
        shown = "data.tiers" in asked.get("expand", [])
        return listed([each if shown else {k: v for k, v in each.items() if k != "tiers"} for each in found])

    def make_price(self, asked: Thing) -> Thing:
        self.find(asked["product"], "product")
        recurring = asked["recurring"]
        if recurring["usage_type"] == "metered":
            self.find(recurring.get("meter", ""), "billing.meter")
        holders = [each for each in self.all("price") if each["lookup_key"] == asked.get("lookup_key")]
        for holder in holders:
            if not asked.get("transfer_lookup_key"):
                raise Answer(400, f"A price already uses the lookup key {holder['lookup_key']}.")
            holder["lookup_key"] = None
        tiers = [
            {**each, "unit_amount_decimal": str(each["unit_amount_decimal"]),
             "up_to": None if each["up_to"] == "inf" else each["up_to"]}
            for each in asked.get("tiers", [])
        ]  # fmt: skip
        amount = asked.get("unit_amount_decimal")
        values = {name: value for name, value in asked.items() if name not in ("transfer_lookup_key", "tiers")}
        values["unit_amount_decimal"] = None if amount is None else str(amount)
        values["recurring"] = {"interval_count": 1, "meter": None, **recurring}
        return self.add(
            "price", "price", **{"active": True, "tiers": tiers, "tiers_mode": None, "metadata": {}} | values
        )

    def change_price(self, id: str, asked: Thing) -> Thing:
        found = self.find(id, "price")
        found |= asked
        return found

    def list_meters(self, asked: Thing) -> Thing:
        return listed(
            [each for each in self.all("billing.meter") if each["status"] == asked.get("status", each["status"])]
        )

    def make_meter(self, asked: Thing) -> Thing:
        if any(each["event_name"] == asked["event_name"] for each in self.all("billing.meter")):
            raise Answer(400, "An active meter already exists with this event name.")
        return self.add("mtr", "billing.meter", status="active", **asked)

    def change_meter(self, id: str, asked: Thing) -> Thing:
        found = self.find(id, "billing.meter")
        found |= asked
        return found

    def make_meter_event(self, asked: Thing) -> Thing:
        payload, at, now = asked["payload"], asked.get("timestamp", self.now()), self.now()
        if not any(each["event_name"] == asked["event_name"] for each in self.all("billing.meter")):
            raise Answer(400, f"No active meter found for event name {asked['event_name']}.")
        self.find(payload["stripe_customer_id"], "customer")
        if not now - 35 * DAY <= at <= now + 300:
            raise Answer(400, "The timestamp must be within the past 35 days or up to 5 minutes in the future.")
        value = Decimal(payload["value"])
        if value != int(value) or len(str(abs(int(value)))) > 15:
            raise Answer(400, "The value must be a whole number of at most 15 digits.")
        identifier = asked["identifier"]
        if identifier in self.identifiers:
            raise Answer(400, f"An event already exists with identifier {identifier}.")
        self.identifiers.add(identifier)
        made = {"object": "billing.meter_event", "created": now, "livemode": False, **asked, "timestamp": at}
        self.meter_events[f"{identifier} {next(self.numbers)}"] = made
        return made

    def list_summaries(self, id: str, asked: Thing) -> Thing:
        meter = self.find(id, "billing.meter")
        begin, end = asked["start_time"], asked["end_time"]
        if begin % 60 or end % 60 or end <= begin:
            raise Answer(400, "The times must be aligned with minute boundaries.")
        values = [
            int(each["payload"]["value"])
            for each in self.meter_events.values()
            if each["event_name"] == meter["event_name"]
            and each["payload"]["stripe_customer_id"] == asked["customer"]
            and begin <= each["timestamp"] < end
        ]
        summary = {"id": f"mtrusg_{id}", "object": "billing.meter_event_summary", "livemode": False, "meter": id}
        return listed([{**summary, "aggregated_value": float(sum(values)), "start_time": begin, "end_time": end}])

    def make_session(self, asked: Thing) -> Thing:
        self.find(asked["customer"], "customer")
        for each in asked["line_items"]:
            metered = self.find(each["price"], "price")["recurring"]["usage_type"] == "metered"
            if metered == ("quantity" in each):
                raise Answer(400, "A quantity is for what isn’t metered, and needed there.")
        made = self.add(
            "cs", "checkout.session", status="open", subscription=None, _asked=asked, customer=asked["customer"]
        )
        return made | {"url": f"{self.url}/pay/{made['id']}"}

    def make_portal(self, asked: Thing) -> Thing:
        self.find(asked["customer"], "customer")
        made = self.add("bps", "billing_portal.session", **asked)
        return made | {"url": f"{self.url}/portal/{made['id']}"}

    def list_subscriptions(self, asked: Thing) -> Thing:
        found = [each for each in self.all("subscription") if each["customer"] == asked["customer"]]
        return listed([self.expanded(each, asked.get("expand", [])) for each in reversed(found)])

    def get_subscription(self, id: str, asked: Thing) -> Thing:
        return self.find(id, "subscription")

    def expanded(self, subscription: Thing, names: list[str]) -> Thing:
        shown = dict(subscription)
        for name in ("latest_invoice", "schedule"):
            if f"data.{name}" in names and shown[name]:
                shown[name] = self.things[shown[name]]
        return shown

    def change_subscription(self, id: str, asked: Thing) -> Thing:
        found = self.find(id, "subscription")
        if found["status"] == "canceled":
            raise Answer(400, "A canceled subscription can only update its cancellation_details and metadata.")
        there = {each["id"]: each for each in found["items"]["data"]}
        first = found["items"]["data"][0]
        for each in asked.pop("items", []):
            if each.get("deleted"):
                del there[each["id"]]
                continue
            before = there.get(each.get("id"))
            price = each.get("price") or before["price"]["id"]
            made = self.item({"price": price}, first["current_period_start"], first["current_period_end"])
            made["quantity"] = each.get("quantity", before["quantity"] if before else None)
            if before:
                made["id"] = before["id"]
            there[made["id"]] = made
        found["items"] = listed(list(there.values()))
        found |= {name: value for name, value in asked.items() if name in ("cancel_at_period_end", "metadata")}
        self.tell("customer.subscription.updated", found)
        return found

    def cancel_subscription(self, id: str, asked: Thing) -> Thing:
        found = self.find(id, "subscription")
        if found["status"] == "canceled":
            raise Answer(404, f"No such subscription: '{id}'", code="resource_missing")
        self.end(id)
        return found

    def make_schedule(self, asked: Thing) -> Thing:
        subscription = self.find(asked["from_subscription"], "subscription")
        if subscription["schedule"]:
            raise Answer(400, "The subscription is managed by a schedule already.")
        first = subscription["items"]["data"][0]
        items = [{"price": each["price"]["id"], "quantity": each["quantity"]} for each in subscription["items"]["data"]]
        phase = {"start_date": first["current_period_start"], "end_date": first["current_period_end"], "items": items}
        made = self.add(
            "sub_sched",
            "subscription_schedule",
            status="active",
            metadata={},
            customer=subscription["customer"],
            subscription=subscription["id"],
            phases=[{**phase, "trial_end": subscription["trial_end"]}],
        )
        subscription["schedule"] = made["id"]
        return made

    def change_schedule(self, id: str, asked: Thing) -> Thing:
        found = self.find(id, "subscription_schedule")
        found |= asked
        self.tell("subscription_schedule.updated", found)
        return found

    def release_schedule(self, id: str, asked: Thing) -> Thing:
        found = self.find(id, "subscription_schedule")
        if found["status"] != "active":
            raise Answer(400, "Only a schedule that is active can be released.")
        found["status"] = "released"
        self.things[found["subscription"]]["schedule"] = None
        self.tell("subscription_schedule.released", found)
        return found

    def list_invoices(self, asked: Thing) -> Thing:
        return listed([each for each in self.all("invoice") if each["customer"] == asked["customer"]])

    url: str = ""


def listed(things: list[Thing]) -> Thing:
    return {"object": "list", "data": things, "has_more": False, "url": "/v1/things"}


ROUTES = {
    ("POST", "customers"): "make_customer",
    ("GET", "products"): "list_products",
    ("POST", "products"): "make_product",
    ("POST", "products/*"): "change_product",
    ("GET", "prices"): "list_prices",
    ("POST", "prices"): "make_price",
    ("POST", "prices/*"): "change_price",
    ("GET", "subscriptions"): "list_subscriptions",
    ("GET", "subscriptions/*"): "get_subscription",
    ("POST", "subscriptions/*"): "change_subscription",
    ("DELETE", "subscriptions/*"): "cancel_subscription",
    ("POST", "subscription_schedules"): "make_schedule",
    ("POST", "subscription_schedules/*"): "change_schedule",
    ("POST", "subscription_schedules/*/release"): "release_schedule",
    ("GET", "invoices"): "list_invoices",
    ("POST", "checkout/sessions"): "make_session",
    ("POST", "billing_portal/sessions"): "make_portal",
    ("GET", "billing/meters"): "list_meters",
    ("POST", "billing/meters"): "make_meter",
    ("POST", "billing/meters/*"): "change_meter",
    ("POST", "billing/meter_events"): "make_meter_event",
    ("GET", "billing/meters/*/event_summaries"): "list_summaries",
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "Server"

    def handle_any(self) -> None:
        state, parts = self.server.state, urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        form = parts.query if self.command in ("GET", "DELETE") else body
        if parts.path.startswith(("/pay/", "/portal/")):
            self.say(200, f"<h1>{parts.path}</h1>", "text/html")
            return
        if not self.headers.get("Authorization", "").startswith("Bearer sk_test_"):
            self.say(401, json.dumps({"error": {"type": "invalid_request_error", "message": "Invalid API Key"}}))
            return
        fault = self.fault(state, parts.path)
        if fault == "before":
            self.hang_up()
            return
        if fault.isdigit():
            error = Answer(int(fault), "not now")
            self.say(error.status, json.dumps(error.body))
            return
        try:
            said = 200, state.answer(self.command, parts.path, form, self.headers.get("Idempotency-Key", ""))
        except Answer as error:
            said = error.status, error.body
        if fault == "after":
            self.hang_up()
            return
        self.say(said[0], json.dumps(shown(said[1]), default=str))

    do_GET = do_POST = do_DELETE = handle_any  # noqa: N815  (as http.server calls them)

    def fault(self, state: Stripe, path: str) -> str:
        with state.lock:
            for fault in state.faults:
                if fault.times and path.startswith(f"/v1/{fault.path}"):
                    fault.times -= 1
                    return fault.how
        return ""

    def hang_up(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(2)

    def say(self, status: int, body: str, kind: str = "application/json") -> None:
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


def shown(thing: Any) -> Any:
    """Without what the stub keeps for itself."""
    if isinstance(thing, dict):
        return {name: shown(value) for name, value in thing.items() if not name.startswith("_")}
    return [shown(each) for each in thing] if isinstance(thing, list) else thing


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, state: Stripe) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.state = state
        state.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: Any) -> None:
        """A client that was killed, or a connection that was hung up on purpose."""


def signed(event: Thing, *, secret: str = SECRET, at: int | None = None) -> tuple[str, str]:
    """The body of a webhook, and its header."""
    body = json.dumps(event)
    return body, stripe.WebhookSignature.generate_signature_header(body, secret, at)
