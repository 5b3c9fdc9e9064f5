"""What rows would cost before any of them is asked: at most, by the bound that the ledger reserves, and probably.

The bound of a row grows with the bytes of its values alone, so a step's prices are looked up once for all rows. An
earlier answer is taken to have eight bytes for each token that it may have; the batch's cap is there for one that has
more.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.conf import settings
from django.db.models import Avg

from apps.prompts.models import PromptVersion
from apps.prompts.spec import BadPrompt, Kind, Variable, fields
from apps.tenants.models import Tier

from .. import chain, configuration, route
from ..cascade import JUDGE_OUTPUT_TOKENS
from ..chain import Choice
from ..configuration import Configuration
from ..gateway.pricing import UnknownPrice, cost_usd, most_usd, price_for
from ..gateway.types import Price, Usage
from ..models import Batch, BatchResult, BatchRow, BatchStep, Policy, Processing
from ..prompted import request_of
from ..refusals import NoHalfPrice, NoModelAllowed, Unpriced
from ..route import CLASSIFIER_CHARS, CLASSIFIER_OUTPUT_TOKENS
from .mapping import holds, value_of

FEATURE = "batch"
BYTES_PER_TOKEN = 8  # of an answer that a later step, a judge or a repair reads: twice what is usual
WORDS_AROUND = 2_000  # bytes, of our own prompts that classify, judge and repair
SHARE_BYTES = 4_000  # of a prompt by which prices are compared
TYPICAL_SHARE = 4  # of the tokens that an answer may have, a fourth; and of a prompt's bytes
SAMPLES = {Kind.INTEGER: "0", Kind.NUMBER: "0", Kind.BOOLEAN: "true", Kind.JSON: "{}"}


@dataclass(frozen=True, slots=True)
class StepEstimate:
    position: int
    label: str
    worst_usd: Decimal
    typical_usd: Decimal


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the rows that are left would cost: at most, by the bound that the ledger reserves, and probably."""

    rows: int
    worst_usd: Decimal
    typical_usd: Decimal
    steps: tuple[StepEstimate, ...] = ()


@dataclass(frozen=True, slots=True)
class Priced:
    choice: Choice
    prices: tuple[Price, ...]


@dataclass(frozen=True, slots=True)
class Asking:
    """One call that a row may take: of which models, with how many bytes more than the prompt's own (or, if
    `bytes_alone`, of its own), and for how long an answer."""

    models: tuple[Priced, ...]
    output_tokens: int
    more_bytes: int = 0
    bytes_alone: int | None = None


class StepCosts:
    """The costs of one step by the bytes of a row's values. Raises NoModelAllowed, Unpriced or NoHalfPrice; BadPrompt
    or BadSchema for a version that can't be sent at all."""

    def __init__(self, step: BatchStep, known: Configuration, processing: Processing = Processing.ONLINE) -> None:
        self.step, version = step, step.prompt_version
        self.counts = count_of_each(version)
        self.variables = {variable.name: variable for variable in version.declared}
        samples = {variable.name: SAMPLES.get(variable.kind, "x") for variable in version.declared}
        request = request_of(version, samples)
        sampled = sum(len(text) * self.counts[name] for name, text in samples.items())
        self.own_bytes = request.most_input_tokens() - sampled
        self.output_tokens = version.max_output_tokens or settings.MAX_OUTPUT_TOKENS

        forced = Tier(step.tier) if step.tier else version.forced_tier
        policy = known.policy
        if forced is None and policy.routing == Policy.Routing.FORCED:
            forced = Tier(policy.forced_tier)
        everywhere = priced(known, route.allowed_tiers(known), processing)
        self.far = everywhere
        near = priced_or_none(known, [known.at_most(forced)], processing) if forced else ()
        self.near = near or everywhere
        typical = known.at_most(route.planned(request, feature=FEATURE, configuration=known, forced=forced).tier)
        self.typical_model = (priced_or_none(known, [typical], processing) or self.near)[0]
        is_online = processing == Processing.ONLINE  # in a file nothing is asked besides
        self.extra = tuple(self.asked_besides(known)) if is_online and not forced else ()
        if version.output_schema:  # a repair reads what was said; in a file the same is asked again instead
            said = self.output_tokens * BYTES_PER_TOKEN + WORDS_AROUND if is_online else 0
            self.extra = (*self.extra, Asking(self.near, self.output_tokens, more_bytes=said))
        self._worst: dict[int, Decimal] = {}

    def asked_besides(self, known: Configuration) -> Iterator[Asking]:
        """The calls of a workspace's routing that choose a model, or judge what one has said."""
        cheap = priced_or_none(known, [Tier.CHEAP]) or self.far
        if route.classifies(FEATURE, known):
            yield Asking(cheap, CLASSIFIER_OUTPUT_TOKENS, bytes_alone=CLASSIFIER_CHARS * 4 + WORDS_AROUND)
        is_cascade = known.policy.routing == Policy.Routing.CASCADE and route.is_open(FEATURE, known)
        if is_cascade and not self.step.output_schema:
            said = self.output_tokens * BYTES_PER_TOKEN + WORDS_AROUND
            yield Asking(cheap, JUDGE_OUTPUT_TOKENS, more_bytes=said)
            yield Asking(cheap, self.output_tokens)

    def bytes_of(self, values: Mapping[str, int]) -> int:
        return self.own_bytes + sum(length * self.counts[name] for name, length in values.items())

    def worst_usd(self, size: int) -> Decimal:
        """For a prompt of so many bytes, a token being one at least."""
        if size not in self._worst:
            has_room = any(fits(model, size // 3 + self.output_tokens) for model in self.near)
            asked = (Asking(self.near if has_room else self.far, self.output_tokens), *self.extra)
            self._worst[size] = sum((most_of(each, size) for each in asked), Decimal(0))
        return self._worst[size]

    def typical_usd(self, size: int) -> Decimal:
        usage = Usage(size // TYPICAL_SHARE, max(1, self.output_tokens // TYPICAL_SHARE))
        return cost_usd(usage, price_for(self.typical_model.prices, usage))


def fits(model: Priced, tokens: int) -> bool:
    return model.choice.context_tokens is None or tokens <= model.choice.context_tokens


def most_of(asking: Asking, size: int) -> Decimal:
    tokens = size + asking.more_bytes if asking.bytes_alone is None else asking.bytes_alone
    return max(
        most_usd(model.prices, input_tokens=tokens, output_tokens=asking.output_tokens) for model in asking.models
    )


def count_of_each(version: PromptVersion) -> dict[str, int]:
    """How often each variable stands in the version's words."""
    named = [name for _, name in fields(version.body)]
    return {variable.name: named.count(variable.name) for variable in version.declared}


def priced(
    known: Configuration, tiers: Iterable[Tier], processing: Processing = Processing.ONLINE
) -> tuple[Priced, ...]:
    """The models of these tiers that may be asked and have a price. Raises NoModelAllowed, Unpriced or NoHalfPrice."""
    choices = [choice for tier in tiers for choice in route.choices(known, tier)]
    if not choices:
        raise NoModelAllowed
    found = []
    for choice in choices:
        prices = chain.prices(choice, known, processing)
        try:
            most_usd(prices, input_tokens=10**9, output_tokens=1)
        except UnknownPrice:
            continue
        found.append(Priced(choice, prices))
    if not found and processing == Processing.BATCH:
        raise NoHalfPrice
    if not found:
        raise Unpriced(sorted({str(choice.target) for choice in choices}))
    return tuple(found)


def priced_or_none(
    known: Configuration, tiers: Iterable[Tier], processing: Processing = Processing.ONLINE
) -> tuple[Priced, ...]:
    try:
        return priced(known, tiers, processing)
    except (NoModelAllowed, Unpriced):
        return ()


def sizes(costs: Sequence[StepCosts], row: Mapping[str, str]) -> Iterator[tuple[StepCosts, int]]:
    """The steps that a row may take, with the bytes that its prompt has at most. Raises BadValue."""
    for cost in costs:
        step = cost.step
        if is_left_out(step, row):
            continue
        lengths = {}
        for name, source in step.mapping.items():
            if "step" in source:
                earlier = costs[source["step"] - 1]
                lengths[name] = earlier.output_tokens * BYTES_PER_TOKEN
            else:
                lengths[name] = len(read(cost.variables[name], value_of(source, row=row, answers={}), source).encode())
        yield cost, cost.bytes_of(lengths)


def is_left_out(step: BatchStep, row: Mapping[str, str]) -> bool:
    """Whether it is known beforehand that the row skips the step."""
    condition = step.condition
    return condition is not None and "step" not in condition and not holds(condition, row=row, answers={})


class BadValue(Exception):
    """A cell, or a text for all rows, that isn't of its variable's type."""

    def __init__(self, bad: BadPrompt, column: str) -> None:
        self.bad, self.column = bad, column
        super().__init__(str(bad))


def read(variable: Variable, text: str, source: Mapping[str, object]) -> str:
    try:
        return variable.read(text)
    except BadPrompt as bad:
        raise BadValue(bad, str(source.get("column", ""))) from bad


def estimate(batch: Batch) -> Estimate:
    """What the batch's open rows would cost, by what holds now; what its preview cost says what is typical. Those of a
    draft whose preview failed are asked again.

    Raises Refusal where no model may be asked or none has a price.
    """
    known = configuration.current()
    costs = [StepCosts(step, known, batch.processing) for step in steps_of(batch)]
    worst, typical, counts = ([Decimal(0)] * len(costs) for _ in range(3))
    rows = 0
    asked = [*BatchRow.OPEN, *([BatchRow.Status.FAILED] if batch.status == Batch.Status.DRAFT else [])]
    for row in batch.rows.filter(status__in=asked).values_list("input", flat=True).iterator():
        rows += 1
        for cost, size in sizes(costs, row):
            index = cost.step.position - 1
            worst[index] += cost.worst_usd(size)
            typical[index] += cost.typical_usd(size)
            counts[index] += 1
    for index, seen in enumerate(seen_usd(batch, costs)):
        if seen is not None:
            typical[index] = seen * counts[index] * share_of_seen(batch, costs[index], known)
    steps = tuple(
        StepEstimate(cost.step.position, str(cost.step), worst[index], min(typical[index], worst[index]))
        for index, cost in enumerate(costs)
    )
    return Estimate(rows, sum(worst, Decimal(0)), sum((each.typical_usd for each in steps), Decimal(0)), steps)


def share_of_seen(batch: Batch, cost: StepCosts, known: Configuration) -> Decimal:
    """How much of what was seen the same costs now: a draft's preview is asked at once, whatever its rows will be."""
    if batch.processing == Processing.ONLINE or batch.status != Batch.Status.DRAFT:
        return Decimal(1)
    at_once = StepCosts(cost.step, known).typical_usd(SHARE_BYTES)
    return cost.typical_usd(SHARE_BYTES) / at_once if at_once else Decimal(1)


def seen_usd(batch: Batch, costs: Sequence[StepCosts]) -> list[Decimal | None]:
    """What each step has cost on average in this batch, None where it was never taken."""
    taken = BatchResult.objects.filter(row__batch=batch, run__isnull=False)
    found = dict(taken.values_list("step").annotate(Avg("run__cost_usd")))
    return [found.get(cost.step.pk) for cost in costs]


def steps_of(batch: Batch) -> list[BatchStep]:
    """Its steps in their order, with the words of each."""
    return list(batch.steps.select_related("prompt_version__prompt").order_by("position"))


__all__ = ["BadValue", "Estimate", "StepCosts", "StepEstimate", "estimate", "sizes", "steps_of"]
