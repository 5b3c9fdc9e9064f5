"""What is measured of a workspace's answers by day: how it is written, which way is better, how far it may move."""

from dataclasses import dataclass
from typing import Any

MOST_SAMPLED = 200  # answers of a day


@dataclass(frozen=True, slots=True)
class Metric:
    """`unit` is "share" (0 to 1), "s" or "usd". A fall within `slack` is no drift: for a share it is absolute, else
    relative to what it was. With fewer than `least` values on either side nothing is said.
    """

    title: str
    says: str
    unit: str = "share"
    is_better_high: bool = True
    slack: float = 0.05
    least: int = 10

    def shown(self, value: float) -> str:
        if self.unit == "share":
            return f"{value:.1%}".replace(".0%", "%").replace("%", " %")
        return f"{value:,.1f} s" if self.unit == "s" else f"${value:,.6f}".rstrip("0").rstrip(".")

    def tick(self, value: float) -> str:
        """On an axis, where there is little room."""
        if self.unit == "share":
            return f"{value:.0%}".replace("%", " %")
        return f"{value:.1f} s" if self.unit == "s" else f"${value:.2g}"

    def allowed(self, before: float) -> float:
        """How far it may move for the worse."""
        return self.slack if self.unit == "share" else self.slack * before


METRICS = {
    "grounded": Metric("Grounded", "Share of an answer’s statements that a passage it cites supports"),
    "citation_precision": Metric(
        "Citation precision", "Share of the marks that point at a passage which supports them"
    ),
    "refused": Metric("Nothing found", "Share of answers that say the documents don’t hold it", is_better_high=False),
    "thumbs_up": Metric("Thumbs up", "Share of good among the answers that were rated", slack=0.1),
    "cases": Metric("Cases passed", "Share of approved cases whose answer holds what it must", slack=0.0, least=1),
    "latency": Metric("Latency", "Time to the last word, of answers that weren’t given before", "s", False, 0.25),
    "cost": Metric("Cost", "Price of an answer that wasn’t given before", "usd", False, 0.25),
}


def drift_sentence(drift: dict[str, Any]) -> str:
    """ "Grounded fell from 92 % to 71 %"."""
    metric = METRICS[drift["metric"]]
    moved = "fell" if drift["now"] < drift["before"] else "rose"
    return f"{metric.title} {moved} from {metric.shown(drift['before'])} to {metric.shown(drift['now'])}"
