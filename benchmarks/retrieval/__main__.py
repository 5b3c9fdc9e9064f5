"""Measures search and the offline answerer on questions that people asked.

    python -m benchmarks.retrieval DATA

DATA holds what is measured on; what is absent is said and skipped:

    rag/squad24.json                   articles, questions with the place of their answers, and unanswerable ones
    rag/clapnq_answerable_a.jsonl      questions that people typed into a search engine, each with the passage that
    rag/clapnq_unanswerable_a.jsonl    answers it and the sentences that do, or with one that looks as if it did
    handbook/*.md                      pages whose section titles are looked up

R@5: the share of questions with a hit among the first five passages. MRR@10: the mean of 1/rank of the first hit, 0
beyond the tenth. Each collection says what a hit is.
"""

import sys
from pathlib import Path

from benchmarks.stage import stage, workspace

from . import clapnq, handbook, squad


def main(data: Path) -> None:
    if not data.is_dir():
        sys.exit(f"{data} is not a folder. Name the one that holds rag/ and handbook/.")
    articles, asked, pages = squad.read(data), clapnq.read(data), handbook.read(data)
    if not (articles or asked or pages):
        sys.exit(f"There is nothing to measure on in {data}.")
    with stage():
        if articles:
            with workspace("squad"):
                squad.measure(articles, others=asked.questions if asked else [])
        if asked:
            with workspace("clapnq"):
                clapnq.measure(asked, others=articles.questions if articles else [])
        if pages:
            with workspace("handbook"):
                handbook.measure(pages)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Name the folder with the questions: python -m benchmarks.retrieval DATA")
    main(Path(sys.argv[1]))
