"""How `ranking.COVERAGE_WEIGHT` and `offline.ANSWERS_FROM_FIT` were found, and how to find them for another embedder.

    python -m benchmarks.retrieval.calibrate DATA

For each weight: the threshold that keeps 95 % of the questions about half of SQuAD's articles, the share of half of
ClapNQ's questions, which are about other things, that it refuses, and both shares on the halves that had no say. The
weight in use is the least from which on the first half's refusals rise no more, the threshold its own, rounded down, in
favour of an answer.
"""

import sys
from pathlib import Path

import numpy as np

from benchmarks.stage import stage, workspace

from . import answers, clapnq, squad
from .answers import Read

KEPT = 0.95
WEIGHTS = np.arange(0, 0.55, 0.05)


def main(data: Path) -> None:
    articles, asked = squad.read(data), clapnq.read(data)
    if articles is None or asked is None:
        sys.exit(f"Both collections are needed in {data / 'rag'}.")
    with stage(), workspace("calibrate"):
        questions = [*articles.asked, *articles.more]
        squad.ask(articles, questions)
        answerable = answers.read("asking about the articles", [each["question"] for each in questions])
        others = answers.read("asking about other things", asked.questions)
    halves = np.array([articles.is_tuned_on(each) for each in questions])
    print("                 half tuned on    other half")
    print("  weight   fit   kept  refused   kept  refused")
    for weight in WEIGHTS:
        own, unrelated = fits(answerable, weight), fits(others, weight)
        threshold = np.quantile(own[halves], 1 - KEPT, method="lower")
        shares = [
            f"{(kept >= threshold).mean():.3f}  {(refused < threshold).mean():.3f}"
            for kept, refused in ((own[halves], unrelated[::2]), (own[~halves], unrelated[1::2]))
        ]
        print(f"  {weight:.2f}   {threshold:.3f}   {'     '.join(shares)}")


def fits(found: list[Read], weight: float) -> np.ndarray:
    return np.array([each.closest + weight * each.coverage for each in found])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Name the folder with the questions: python -m benchmarks.retrieval.calibrate DATA")
    main(Path(sys.argv[1]))
