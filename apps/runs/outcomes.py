"""What came of an experiment: its arms side by side, each figure with how sure it is. Read from the runs alone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import Avg, Count, Q, QuerySet, StdDev

from apps.prompts.models import Experiment, ExperimentArm

from . import estimates
from .estimates import Estimate
from .models import Run
from .noticed import NO_ANSWER

ENDED = ~Q(status=Run.Status.RUNNING)
ANSWERED = Q(status=Run.Status.OK)
MADE = ANSWERED & Q(is_cached=False)  # by a model, for this call


@dataclass(frozen=True, slots=True)
class Row:
    """One arm's figure. Places are percent of the picture's width."""

    arm: ExperimentArm
    estimate: Estimate | None
    said: str = "–"
    interval: str = ""
    at: float = 0
    low: float = 0
    high: float = 0

    @property
    def width(self) -> float:
        return self.high - self.low


@dataclass(frozen=True, slots=True)
class Metric:
    label: str
    note: str
    rows: tuple[Row, ...]
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """`people` and `calls` by arm, in the order of the arms."""

    arms: tuple[ExperimentArm, ...]
    people: tuple[int, ...]
    calls: tuple[int, ...]
    metrics: tuple[Metric, ...]


def outcomes(experiment: Experiment, *, runs: QuerySet[Run] | None = None) -> Outcomes:
    """runs: whose; by default the active tenant's."""
    found = Run.objects.all() if runs is None else runs
    arms = tuple(
        ExperimentArm.unscoped.using(found.db)
        .filter(experiment_id=experiment.pk)
        .select_related("version__prompt")
        .order_by("position")
    )
    found = found.filter(experiment_arm__in=arms)
    sums: dict[Any, Any] = {
        row["experiment_arm"]: row for row in found.order_by().values("experiment_arm").annotate(**COUNTED)
    }
    of = [sums.get(arm.pk, dict.fromkeys(COUNTED, 0)) for arm in arms]

    def shares(part: str, whole: str) -> list[Estimate | None]:
        return [estimates.share(each[part] or 0, each[whole] or 0) for each in of]

    helpful, no_answer = shares("up", "rated"), shares("nothing", "ended")
    costs = [estimates.mean(as_float(each["cost"]), as_float(each["cost_deviation"]), each["made"] or 0) for each in of]
    latencies = [median(found.filter(MADE, experiment_arm=arm), "latency_ms") for arm in arms]
    return Outcomes(
        arms,
        tuple((each["people"] or 0) + (each["keys"] or 0) for each in of),
        tuple(each["ended"] or 0 for each in of),
        (
            metric("Found helpful", "of the answers that were rated", arms, helpful, percent, 1, is_better_high=True),
            metric("Without an answer", "refused, or nothing found", arms, no_answer, percent, 1, is_better_high=False),
            metric("Failed", "no model answered", arms, shares("failed", "ended"), percent, 1, is_better_high=False),
            metric("From the cache", "given again at no cost", arms, shares("cached", "ended"), percent, 1),
            metric("Cost of an answer", "mean, of those a model wrote", arms, costs, dollars),
            metric("Time of an answer", "median, of those a model wrote", arms, latencies, milliseconds),
        ),
    )


COUNTED: dict[str, Any] = {
    "ended": Count("pk", filter=ENDED),
    "made": Count("pk", filter=MADE),
    "people": Count("user", distinct=True),
    "keys": Count("api_key", distinct=True, filter=Q(user=None)),
    "rated": Count("pk", filter=Q(rating__isnull=False)),
    "up": Count("pk", filter=Q(rating=1)),
    "nothing": Count("pk", filter=Q(status=Run.Status.REFUSED) | Q(flags__contains=[NO_ANSWER])),
    "failed": Count("pk", filter=Q(status__in=[Run.Status.FAILED, Run.Status.LOST])),
    "cached": Count("pk", filter=Q(is_cached=True)),
    "cost": Avg("cost_usd", filter=MADE),
    "cost_deviation": StdDev("cost_usd", filter=MADE, sample=True),
}


def median(runs: QuerySet[Run], name: str) -> Estimate | None:
    ordered = runs.filter(**{f"{name}__isnull": False}).order_by(name).values_list(name, flat=True)
    n = ordered.count()
    if not n:
        return None
    middle, low, high = (float(ordered[place - 1]) for place in ((n + 1) // 2, *estimates.ranks(n)))
    return Estimate(middle, low, high, n)


def metric(
    label: str,
    note: str,
    arms: tuple[ExperimentArm, ...],
    found: list[Estimate | None],
    say: Callable[[float], str],
    most: float | None = None,
    *,
    is_better_high: bool | None = None,
) -> Metric:
    """most: the right end of the picture; by default the largest value there is."""
    end = most or max((each.high for each in found if each), default=0) or 1
    rows = tuple(
        Row(
            arm,
            each,
            say(each.value),
            f"{say(each.low)} to {say(each.high)}, n = {each.n:,}",
            100 * each.value / end,
            100 * each.low / end,
            100 * each.high / end,
        )
        if each
        else Row(arm, None)
        for arm, each in zip(arms, found, strict=True)
    )
    return Metric(label, note, rows, "" if is_better_high is None else verdict(rows, is_better_high))


def verdict(rows: tuple[Row, ...], is_better_high: bool) -> str:
    """The first arm that differs from A by more than chance would make it, in a sentence."""
    first, *others = rows
    for row in others:
        if first.estimate is None or row.estimate is None:
            continue
        difference = estimates.between(first.estimate, row.estimate)
        if difference.low > 0 or difference.high < 0:
            points = f"{abs(difference.value) * 100:.0f} points"
            low, high = sorted(abs(each) * 100 for each in (difference.low, difference.high))
            is_better = (difference.value > 0) == is_better_high
            direction = "more" if difference.value > 0 else "less"
            return (
                f"{row.arm.letter} {'better' if is_better else 'worse'} than A: {points} {direction} "
                f"({low:.0f} to {high:.0f})."
            )
    return "No difference yet that chance couldn’t make."


def as_float(value: Any) -> float | None:
    return None if value is None else float(value)


def percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def dollars(value: float) -> str:
    return f"${value:.6f}".rstrip("0").rstrip(".") if value < 0.01 else f"${value:.3f}"


def milliseconds(value: float) -> str:
    return f"{value:,.0f} ms"
