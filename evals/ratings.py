"""What a judge's rating must be, for `python` asserts: sure of the answer, half sure, or not."""

from .produced import Produced
from .suite import Test

SURE_FROM, UNSURE_TO = 0.7, 0.3  # a workspace's cascade hands an answer on below 0.7, unless it says otherwise


def sure(produced: Produced, test: Test) -> float:
    """The answer would be given."""
    return float(produced.value["score"] >= SURE_FROM)


def half(produced: Produced, test: Test) -> float:
    """The answer would be handed on, and isn't worthless."""
    return float(UNSURE_TO < produced.value["score"] < SURE_FROM)


def unsure(produced: Produced, test: Test) -> float:
    """The answer would be handed on."""
    return float(produced.value["score"] <= UNSURE_TO)
