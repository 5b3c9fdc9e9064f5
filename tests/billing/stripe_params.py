"""Whether a request says only what the SDK's own types allow: its TypedDicts, read at run time.

A form such as `items[0][price]=price_1` becomes nested values first. Then each name must be one of the type's, each
value readable as what it is declared as, a literal one of those listed, and nothing required may be missing.
"""

import re
import types
import typing
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, Literal, Union
from urllib.parse import parse_qsl

from stripe import params
from stripe._request_options import RequestOptions
from stripe.params import billing, billing_portal, checkout
from typing_extensions import is_typeddict

OF_THE_REQUEST = frozenset(RequestOptions.__annotations__)  # headers, not parameters

TYPES = {
    ("POST", "customers"): params.CustomerCreateParams,
    ("GET", "products"): params.ProductListParams,
    ("POST", "products"): params.ProductCreateParams,
    ("POST", "products/*"): params.ProductUpdateParams,
    ("GET", "prices"): params.PriceListParams,
    ("POST", "prices"): params.PriceCreateParams,
    ("POST", "prices/*"): params.PriceUpdateParams,
    ("GET", "subscriptions"): params.SubscriptionListParams,
    ("GET", "subscriptions/*"): params.SubscriptionRetrieveParams,
    ("POST", "subscriptions/*"): params.SubscriptionUpdateParams,
    ("DELETE", "subscriptions/*"): params.SubscriptionCancelParams,
    ("POST", "subscription_schedules"): params.SubscriptionScheduleCreateParams,
    ("POST", "subscription_schedules/*"): params.SubscriptionScheduleUpdateParams,
    ("POST", "subscription_schedules/*/release"): params.SubscriptionScheduleReleaseParams,
    ("GET", "invoices"): params.InvoiceListParams,
    ("POST", "checkout/sessions"): checkout.SessionCreateParams,
    ("POST", "billing_portal/sessions"): billing_portal.SessionCreateParams,
    ("GET", "billing/meters"): billing.MeterListParams,
    ("POST", "billing/meters"): billing.MeterCreateParams,
    ("POST", "billing/meters/*"): billing.MeterUpdateParams,
    ("POST", "billing/meter_events"): billing.MeterEventCreateParams,
    ("GET", "billing/meters/*/event_summaries"): billing.MeterEventSummaryListParams,
}


class Unknown(ValueError):
    """A parameter that Stripe wouldn't take; the message is like Stripe's."""


def read(form: str, type_: Any) -> dict[str, Any]:
    """The parameters of a form, as values of the types that the SDK declares. Raises Unknown."""
    tree: dict[str, Any] = {}
    for name, text in parse_qsl(form, keep_blank_values=True):
        keys = [name.split("[")[0], *re.findall(r"\[([^\]]*)\]", name)]
        place = tree
        for key in keys[:-1]:
            place = place.setdefault(key, {})
        place[keys[-1]] = text
    return dictionary(tree, type_, "")


@cache
def hints(type_: Any) -> dict[str, Any]:
    return typing.get_type_hints(type_, localns={"StripeContext": object, "Mapping": typing.Mapping})  # of the request


def dictionary(tree: dict[str, Any], type_: Any, path: str) -> dict[str, Any]:
    known, found = hints(type_), {}
    for name, value in tree.items():
        if name not in known or (not path and name in OF_THE_REQUEST):
            raise Unknown(f"Received unknown parameter: {path}{name}")
        found[name] = value_of(value, known[name], f"{path}{name}.")
    if missing := sorted(type_.__required_keys__ - found.keys() - OF_THE_REQUEST):
        raise Unknown(f"Missing required param: {path}{missing[0]}.")
    return found


def value_of(value: Any, hint: Any, path: str) -> Any:
    """The value as the first of the declared types that takes it; a list of words is closed, whatever else is open."""
    options = alternatives(hint)
    if isinstance(value, str) and (
        words := [word for each in options if is_words(each) for word in typing.get_args(each)]
    ):
        if value in words:
            return value
        options = [each for each in options if not is_words(each) and each is not str]
    faults = []
    for option in options:
        try:
            return as_type(value, option, path)
        except Unknown as fault:
            faults.append(fault)
    raise faults[0] if faults else Unknown(f"Invalid {path[:-1]}: {value!r}")


def alternatives(hint: Any) -> list[Any]:
    if typing.get_origin(hint) in (Union, types.UnionType):
        return [each for part in typing.get_args(hint) for each in alternatives(part)]
    return [hint]


def is_words(hint: Any) -> bool:
    return typing.get_origin(hint) is Literal


def as_type(value: Any, hint: Any, path: str) -> Any:
    origin = typing.get_origin(hint)
    if is_typeddict(hint) and isinstance(value, dict):
        return dictionary(value, hint, path)
    if origin is list and isinstance(value, dict):
        (item,) = typing.get_args(hint)
        numbered = sorted((int(number) if number else at, each) for at, (number, each) in enumerate(value.items()))
        return [value_of(each, item, f"{path}{number}.") for number, each in numbered]
    if origin is dict and isinstance(value, dict):
        _, item = typing.get_args(hint)
        return {name: value_of(each, item, f"{path}{name}.") for name, each in value.items()}
    if isinstance(value, str):
        if hint is bool and value in ("true", "false"):
            return value == "true"
        if hint is int and re.fullmatch(r"-?\d+", value):
            return int(value)
        if hint in (float, Decimal):
            try:
                return Decimal(value)
            except InvalidOperation:
                pass
        if hint is str:
            return value
    raise Unknown(f"Invalid {path[:-1]}: {value!r}")
