"""What is measured, each from 0 to 1 for every test that asks for it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Metric:
    """`is_compared`: whether the gate holds it against the baseline. Not what depends on the machine or on a judge."""

    title: str
    says: str
    is_compared: bool = True


METRICS = {
    "recall@5": Metric("Recall@5", "Share of the right documents among the first five passages"),
    "recall@10": Metric("Recall@10", "Share of the right documents among the first ten passages"),
    "mrr@10": Metric("MRR@10", "One over the rank of the first passage of a right document, 0 beyond the tenth"),
    "context": Metric("Context", "The passages that a model is given hold what the answer needs"),
    "correct": Metric("Correct", "The output says what it must, and not what it mustn’t"),
    "cited": Metric("Cited", "It cites the right files"),
    "refused": Metric("Refused", "It says that the documents don’t hold the answer where they don’t, and only there"),
    "grounded": Metric("Grounded", "Share of its sentences that a cited passage supports"),
    "citation_precision": Metric("Citation precision", "Share of its marks that point at a passage that supports them"),
    "valid": Metric("Valid", "It is JSON of the right form"),
    "latency": Metric("Latency", "It came in time", is_compared=False),
    "cost": Metric("Cost", "It took no more money or tokens than it may"),
    "judged": Metric("Judged", "What a model says of it by a rubric", is_compared=False),
}

OF_RETRIEVAL = ("recall@5", "recall@10", "mrr@10", "context")
OF_EVERY_ANSWER = ("grounded", "citation_precision")  # of those that should be one
