"""Plans as files, by generation, read strictly: apps/billing/plans/2026-11.yaml says what was sold from that month on.

A subscription keeps the generation that it bought. What is sold today is the newest; docs/billing.md explains the
entries. Amounts are read from the file's own digits, so 1.20 is exactly that.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path

import yaml

from apps.tenants.features import FEATURES
from apps.tenants.models import Tier

from .models.meter_event import Meter

FOLDER = Path(__file__).parent / "plans"
GENERATION = re.compile(r"\d{4}-\d{2}[a-z]?")
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
FREE = "free"
NO_LIMIT, NOTHING = "no limit", "nothing"
UNITS = {"usd": Meter.USAGE_USD, "tokens": Meter.USAGE_TOKENS, "runs": Meter.USAGE_RUNS}


class BadPlanFile(ValueError):
    """A file of plans that can't be read; its message names the file, the line, the fault and the mend."""

    def __init__(self, path: Path, fault: str, mend: str, *, line: int = 1) -> None:
        super().__init__(f"{path.name}:{line}: {fault}. {mend}")


class UnknownPlan(LookupError):
    """No file has that plan: a file that somebody bought from was removed or changed."""


@dataclass(frozen=True, slots=True)
class Seats:
    """How many a subscription begins with at least, and how many it may have; None for no limit."""

    included: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Limits:
    """What a plan allows; None for no limit. Storage is in megabytes of 1,000,000 bytes."""

    requests_per_minute: int | None
    tokens_per_day: int | None
    highest_tier: str
    queue_weight: int
    documents: int | None
    storage_mb: int | None


@dataclass(frozen=True, slots=True)
class Bills:
    """How use is billed. `usd`: what it cost times `markup`. `tokens` and `runs`: at `price_usd` per million of them.
    `fee_usd_per_1000_runs` is for answers through keys of the workspace's own, which are in no other unit."""

    unit: str
    markup: Decimal
    price_usd: Decimal
    fee_usd_per_1000_runs: Decimal

    @property
    def meter(self) -> Meter:
        return UNITS[self.unit]

    @property
    def usd_per_unit(self) -> Decimal:
        """What one of the meter's units costs: a millionth of a dollar is a millionth of a dollar."""
        return Decimal("0.000001") * (Decimal(1) if self.unit == "usd" else self.price_usd)

    @property
    def usd_per_own_key_run(self) -> Decimal:
        return self.fee_usd_per_1000_runs / 1000


@dataclass(frozen=True, slots=True)
class Plan:
    """What one plan of one generation gives and costs. `price_usd` is of a seat and month; `included_usd` is how much
    use of a month is in it."""

    name: str
    generation: str
    label: str
    summary: str
    price_usd: Decimal
    seats: Seats
    trial_days: int
    features: tuple[str, ...]
    limits: Limits
    included_usd: Decimal
    bills: Bills | None

    @property
    def is_free(self) -> bool:
        return self.name == FREE


@cache
def generations(folder: Path = FOLDER) -> Mapping[str, Mapping[str, Plan]]:
    """Every generation's plans by name, the oldest first. Raises BadPlanFile."""
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise BadPlanFile(folder, "holds no file of plans", "Add one such as 2026-11.yaml.")
    return {path.stem: read(path) for path in paths}


def newest(folder: Path = FOLDER) -> Mapping[str, Plan]:
    """The plans that are sold today, by name, in the file's order."""
    return list(generations(folder).values())[-1]


def find(name: str, generation: str, folder: Path = FOLDER) -> Plan:
    """Raises UnknownPlan."""
    try:
        return generations(folder)[generation][name]
    except KeyError:
        raise UnknownPlan(
            f"apps/billing/plans/{generation}.yaml has no plan {name!r}, and somebody has bought it. Put it back."
        ) from None


def read(path: Path) -> Mapping[str, Plan]:
    """The plans of one file. Raises BadPlanFile."""
    if not GENERATION.fullmatch(path.stem):
        raise BadPlanFile(path, "is not named after a month", "Name it like 2026-11.yaml, or 2026-11b.yaml.")
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        fault = str(getattr(error, "problem", error))
        raise BadPlanFile(path, f"is no YAML ({fault})", "Mend it there.", line=mark.line + 1 if mark else 1) from error
    if node is None:
        raise BadPlanFile(path, "is empty", "Write at least the plan free.")
    entry = Entry(path, "the file", node)
    plans = {name: plan(name, path.stem, each) for name, each in entry.items()}
    if FREE not in plans:
        raise entry.bad(f"has no plan {FREE}", "Who has bought nothing is on it, so write one.")
    if plans[FREE].price_usd or plans[FREE].bills:
        raise entry.bad(f"lets the plan {FREE} cost something", "Set its price_usd to 0 and its bills to nothing.")
    return plans


def plan(name: str, generation: str, entry: "Entry") -> Plan:
    if not NAME.fullmatch(name):
        raise entry.bad(f"{name!r} is no name of a plan", "Use small letters, digits and _, a letter first.")
    parts = entry.parts(*(field.name for field in fields(Plan) if field.name not in ("name", "generation")))
    return Plan(
        name=name,
        generation=generation,
        label=parts["label"].text(),
        summary=parts["summary"].text(),
        price_usd=parts["price_usd"].amount(places=2),
        seats=seats(parts["seats"]),
        trial_days=parts["trial_days"].whole(0, 730),
        features=features(parts["features"]),
        limits=limits(parts["limits"]),
        included_usd=parts["included_usd"].amount(places=2),
        bills=bills(parts["bills"]),
    )


def seats(entry: "Entry") -> Seats:
    parts = entry.parts("included", "most")
    found = Seats(parts["included"].whole(1, 1_000_000), parts["most"].whole_or_none(1, 1_000_000))
    if found.most is not None and found.most < found.included:
        raise parts["most"].bad(f"is less than the {found.included} that are included", "Write at least as many.")
    return found


def features(entry: "Entry") -> tuple[str, ...]:
    found = []
    for each in entry.each():
        if (name := each.text()) not in FEATURES:
            raise each.bad(f"{name!r} is no feature", f"There are: {', '.join(sorted(FEATURES))}.")
        if name in found:
            raise each.bad(f"{name!r} stands there twice", "Write it once.")
        found.append(name)
    return tuple(found)


def limits(entry: "Entry") -> Limits:
    parts = entry.parts(*(field.name for field in fields(Limits)))
    return Limits(
        requests_per_minute=parts["requests_per_minute"].whole_or_none(0, 1_000_000),
        tokens_per_day=parts["tokens_per_day"].whole_or_none(0, 10**15),
        highest_tier=parts["highest_tier"].one_of(Tier.values),
        queue_weight=parts["queue_weight"].whole(1, 1000),
        documents=parts["documents"].whole_or_none(0, 10**9),
        storage_mb=parts["storage_mb"].whole_or_none(0, 10**9),
    )


def bills(entry: "Entry") -> Bills | None:
    if entry.is_word(NOTHING):
        return None
    unit = entry.parts("unit", "fee_usd_per_1000_runs", optional=("markup", "price_usd_per_million"))["unit"].one_of(
        list(UNITS)
    )
    rate = "markup" if unit == "usd" else "price_usd_per_million"
    parts = entry.parts("unit", "fee_usd_per_1000_runs", rate)
    amount = parts[rate].amount(places=6)
    return Bills(
        unit=unit,
        markup=amount if unit == "usd" else Decimal(1),
        price_usd=amount if unit != "usd" else Decimal(0),
        fee_usd_per_1000_runs=parts["fee_usd_per_1000_runs"].amount(places=6),
    )


@dataclass(frozen=True, slots=True)
class Entry:
    """One place of the file: what it is called there, and the node, which knows its line."""

    path: Path
    name: str
    node: yaml.Node

    def bad(self, fault: str, mend: str) -> BadPlanFile:
        return BadPlanFile(self.path, f"{self.name}: {fault}", mend, line=self.node.start_mark.line + 1)

    def items(self) -> Iterator[tuple[str, "Entry"]]:
        if not isinstance(self.node, yaml.MappingNode):
            raise self.bad("is no list of entries", "Write lines such as `name: value`.")
        seen = set()
        for key, value in self.node.value:
            entry = Entry(self.path, key.value, value)
            if key.value in seen:
                raise BadPlanFile(
                    self.path, f"{key.value} stands there twice", "Remove one.", line=key.start_mark.line + 1
                )
            seen.add(key.value)
            yield str(key.value), entry

    def parts(self, *names: str, optional: tuple[str, ...] = ()) -> dict[str, "Entry"]:
        """Exactly these entries, and perhaps the optional ones."""
        found = dict(self.items())
        for name, entry in found.items():
            if name not in names + optional:
                raise entry.bad(f"is no entry of {self.name}", f"There are: {', '.join(names + optional)}.")
        if missing := [name for name in names if name not in found]:
            raise self.bad(f"has no {missing[0]}", "Write it; nothing is assumed.")
        return found

    def each(self) -> Iterator["Entry"]:
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.bad("is no list", "Write it in brackets, as [one, two], or [].")
        for node in self.node.value:
            yield Entry(self.path, self.name, node)

    def text(self) -> str:
        if not isinstance(self.node, yaml.ScalarNode) or not str(self.node.value).strip():
            raise self.bad("is empty or no text", "Write some.")
        return str(self.node.value).strip()

    def is_word(self, word: str) -> bool:
        return isinstance(self.node, yaml.ScalarNode) and self.node.value == word

    def amount(self, *, places: int) -> Decimal:
        try:
            value = Decimal(self.text().replace("_", ""))
        except InvalidOperation:
            value = Decimal("NaN")
        exponent = value.as_tuple().exponent
        if not value.is_finite() or value < 0 or not isinstance(exponent, int) or -exponent > places:
            raise self.bad(
                f"is {self.text()!r}", f"Write an amount from 0 with at most {places} digits after the point."
            )
        return value

    def whole(self, least: int, most: int) -> int:
        text = self.text().replace("_", "")
        if not re.fullmatch(r"\d{1,18}", text) or not least <= int(text) <= most:
            raise self.bad(f"is {self.text()!r}", f"Write a whole number from {least:,} to {most:,}.")
        return int(text)

    def whole_or_none(self, least: int, most: int) -> int | None:
        return None if self.is_word(NO_LIMIT) else self.whole(least, most)

    def one_of(self, choices: list[str]) -> str:
        if self.text() not in choices:
            raise self.bad(f"is {self.text()!r}", f"Write one of {', '.join(choices)}.")
        return self.text()
