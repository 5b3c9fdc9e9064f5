"""A silo's HNSW index: search follows it where it is, and finds what comparing everything would find."""

from collections.abc import Iterator

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from pgvector import Vector

from apps.knowledge.models import Chunk, Document
from apps.knowledge.search import FIND, FOLLOW_FAR, find
from apps.tenants.context import schema_of, tenant_context
from apps.tenants.models import Tenant
from tests.conftest import Cast, admin, in_a_silo

pytestmark = [pytest.mark.django_db(transaction=True, databases=["default", "platform"]), in_a_silo]

CHUNKS, TOPICS, DIMENSIONS = 3000, 40, 384


@pytest.fixture
def topics(committed_cast: Cast) -> np.ndarray:
    """Acme has passages around a few dozen topics, as documents have. Returns the middle of each topic."""
    random = np.random.default_rng(7)
    middles = random.normal(size=(TOPICS, DIMENSIONS))
    with tenant_context(committed_cast.acme):
        document = Document.objects.create(
            title="x", filename="x.txt", kind="txt", size_bytes=1, sha256="x", status="ready", chunk_count=CHUNKS
        )
        vectors = middles[np.arange(CHUNKS) % TOPICS] + 0.8 * random.normal(size=(CHUNKS, DIMENSIONS))
        Chunk.objects.bulk_create(
            [
                Chunk(
                    document=document,
                    position=n,
                    start=0,
                    end=1,
                    text=f"word{n}",
                    embedding=vector,
                    embedding_model="m",
                )
                for n, vector in enumerate(vectors.astype(np.float32))
            ],
            batch_size=1000,
        )
    with admin() as superuser:
        superuser.execute(f"VACUUM ANALYZE {schema_of(committed_cast.acme.id)}.knowledge_chunk")
    return middles


@pytest.fixture
def index(committed_cast: Cast) -> Iterator[str]:
    call_command("silo_index", "acme")
    yield f"{schema_of(committed_cast.acme.id)}.chunk_embedding_hnsw"
    call_command("silo_index", "acme", drop=True)


def plan(tenant: Tenant, question: np.ndarray) -> str:
    arguments = {"tenant": tenant.id, "vector": Vector(question).to_text(), "query": "x"}
    with tenant_context(tenant), connection.cursor() as cursor:
        explained = FIND.replace("WITH hnsw", "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) WITH hnsw")
        cursor.execute(FOLLOW_FAR + explained, {**arguments, "least": 400, "share": 200, "most": 50})
        cursor.nextset()
        lines = "\n".join(line for (line,) in cursor.fetchall())
    return lines[lines.index("CTE near") : lines.index("CTE dense")]


def test_search_follows_the_index_and_finds_what_comparing_everything_finds(
    committed_cast: Cast, topics: np.ndarray, index: str
) -> None:
    random = np.random.default_rng(11)
    questions = topics + 0.8 * random.normal(size=topics.shape)
    found = []
    with tenant_context(committed_cast.acme):
        vectors = dict(Chunk.objects.values_list("id", "embedding"))
        matrix = np.array([np.asarray(vector) for vector in vectors.values()])
        matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
        for question in questions:
            exact = {list(vectors)[place] for place in np.argsort(matrix @ question)[-8:]}
            nearest = sorted(find("nothing", question), key=lambda candidate: -candidate.cosine)[:8]
            found.append(len(exact & {candidate.chunk_id for candidate in nearest}) / 8)

    assert np.mean(found) >= 0.95
    with_index = plan(committed_cast.acme, questions[0])
    assert "Index Scan using chunk_embedding_hnsw on knowledge_chunk" in with_index
    assert "rows=400" in with_index and f"rows={CHUNKS}" not in with_index

    call_command("silo_index", "acme", drop=True)

    without = plan(committed_cast.acme, questions[0])
    assert "chunk_embedding_hnsw" not in without
    assert "rows=400" in without and f"rows={CHUNKS}" in without


def test_building_it_again_changes_nothing_and_a_half_built_one_is_begun_anew(
    committed_cast: Cast, index: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    call_command("silo_index", "acme")
    assert capsys.readouterr().out == "Acme already has an HNSW index.\n"
    with admin() as superuser:
        superuser.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass", [index])

    call_command("silo_index", "acme")

    assert "Acme has an HNSW index now." in capsys.readouterr().out
    with admin() as superuser:
        valid = superuser.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = %s::regclass", [index])
        assert valid.fetchone() == (True,)


def test_the_pool_gets_none(committed_cast: Cast) -> None:
    with pytest.raises(CommandError, match="Globex is in the pool"):
        call_command("silo_index", "globex")
    with admin() as superuser:
        found = superuser.execute("SELECT FROM pg_indexes WHERE schemaname = 'public' AND indexdef ~ 'hnsw'")
        assert found.fetchall() == []
