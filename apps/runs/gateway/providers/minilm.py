"""The local embedding model: all-MiniLM-L6-v2 in int8 on onnxruntime, no key and no network needed.

`python -m config.build_minilm` makes the files. A text's vector depends on that text only, never on what else is in
the batch.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..types import Embeddings, Usage

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Encoding, Tokenizer


class ModelMissing(Exception):
    """The model's files are not where the settings say. Nothing to retry: set-up has not run."""


class MiniLM:
    """Turns texts into vectors of 384 dimensions and unit length.

    Costs nothing until the first text; then it loads 24 MB, once per process. Threads share it. A forked child
    loads its own, because its parent's native threads did not survive the fork.
    """

    name = "minilm"
    model = "all-MiniLM-L6-v2-int8"
    dimensions = 384
    max_tokens = 256  # what the model was trained on; the rest of a longer text is ignored

    # Small batches of similar length: past about 2,000 tokens the activations leave the processor's cache.
    batch_tokens = 2048
    batch_texts = 32

    def __init__(self, model_dir: Path) -> None:
        self.model_dir = model_dir
        self._processes: dict[int, _Process] = {}

    def embed(self, texts: Sequence[str]) -> Embeddings:
        """One vector per text, in order. An empty text has a vector too. Raises ModelMissing."""
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        tokens = 0
        if texts:
            tokenizer, session = self._load()
            encodings = tokenizer.encode_batch_fast(list(texts))
            tokens = sum(len(encoding.ids) for encoding in encodings)
            for indexes in self._batches(encodings):
                longest = len(encodings[indexes[-1]].ids)
                ids = np.zeros((len(indexes), longest), dtype=np.int64)
                mask = np.zeros_like(ids)
                for row, index in enumerate(indexes):
                    length = len(encodings[index].ids)
                    ids[row, :length] = encodings[index].ids
                    mask[row, :length] = 1
                vectors[indexes] = session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
        return Embeddings(vectors, self.model, Usage(input_tokens=tokens, output_tokens=0))

    def count_tokens(self, text: str) -> int:
        """The length of the whole text in this model's tokens, without markers and without the 256 limit."""
        tokenizer, _ = self._load()
        encoding = tokenizer.encode(text, add_special_tokens=False)
        return len(encoding.ids) + sum(len(rest.ids) for rest in encoding.overflowing)

    def _batches(self, encodings: Sequence[Encoding]) -> Iterator[list[int]]:
        """Indexes of texts that go together, each batch sorted by length."""
        batch: list[int] = []
        for index in sorted(range(len(encodings)), key=lambda index: len(encodings[index].ids)):
            padded = (len(batch) + 1) * len(encodings[index].ids)
            if batch and (padded > self.batch_tokens or len(batch) == self.batch_texts):
                yield batch
                batch = []
            batch.append(index)
        if batch:
            yield batch

    def _load(self) -> tuple[Tokenizer, InferenceSession]:
        # By process id, and never removed: closing the parent's session in a child would wait for its threads for
        # ever, and so could the parent's lock. setdefault is atomic, so all threads take the same lock.
        process = self._processes.get(os.getpid()) or self._processes.setdefault(os.getpid(), _Process())
        with process.lock:
            if process.loaded is None:
                process.loaded = self._open()
            return process.loaded

    def _open(self) -> tuple[Tokenizer, InferenceSession]:
        graph, vocabulary = self.model_dir / "model.onnx", self.model_dir / "tokenizer.json"
        if not graph.is_file() or not vocabulary.is_file():
            raise ModelMissing(
                f"The embedding model is not in {self.model_dir}. Run `make run` once, which builds it there, "
                "or set MINILM_DIR to the folder that has model.onnx and tokenizer.json."
            )

        from onnxruntime import InferenceSession, SessionOptions
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(vocabulary))
        tokenizer.enable_truncation(self.max_tokens)
        tokenizer.no_padding()
        options = SessionOptions()
        options.enable_cpu_mem_arena = False  # it keeps the memory of the largest batch for ever
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads must not burn a core
        options.log_severity_level = 3
        return tokenizer, InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


class _Process:
    """What one process has loaded."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.loaded: tuple[Tokenizer, InferenceSession] | None = None
