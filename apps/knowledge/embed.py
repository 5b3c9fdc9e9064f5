"""Passages and questions to vectors, through the one door to models. Every batch leaves a run."""

from collections.abc import Callable, Sequence

import numpy as np

from apps.runs import execute
from apps.runs.chain import embedder
from apps.tenants.models import User

from .chunk import Passage, embedding_text

# Large enough for one run to be worth its row, small enough for the progress bar to move every second or two.
BATCH = 64


def model_name() -> str:
    """Stored beside each vector: vectors of two models can't be compared."""
    return embedder().model


def embed_passages(
    passages: Sequence[Passage], *, user: User | None, on_progress: Callable[[int], None] = lambda _: None
) -> np.ndarray:
    """Unit vectors of passages and headings, float32 [n, 384]. Reports after each batch how many are done.

    Raises SwitchedOff.
    """
    batches = []
    for start in range(0, len(passages), BATCH):
        texts = [embedding_text(passage.heading, passage.text) for passage in passages[start : start + BATCH]]
        batches.append(execute.embed(texts, feature="ingest", user=user))
        on_progress(start + len(texts))
    return np.concatenate(batches)


def embed_query(query: str, *, user: User | None) -> np.ndarray:
    """The question's unit vector, float32 [384]. Raises SwitchedOff."""
    return execute.embed([query], feature="search", user=user)[0]
