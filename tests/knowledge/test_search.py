"""Search finds by meaning and by word, only among the tenant's own, and by way of its index."""

import time

import numpy as np
import psycopg
import pytest
from django.db import connection
from pgvector import Vector

from apps.knowledge.models import Chunk, Document
from apps.knowledge.search import FIND, Candidate, find, fuse, search
from apps.runs.models import Run
from apps.tenants.context import NoTenant, tenant_context
from apps.tenants.signup import create_workspace
from tests.conftest import Cast, admin, in_the_pool

from .conftest import Add

pytestmark = pytest.mark.pool_and_silo

HANDBOOK = """# Handbook

## Leave

Everybody gets thirty days of paid holiday a year.

## Expenses

Hotels are refunded up to 120 euros a night. Form RX-77 is needed.

## Security

Laptops are locked whenever nobody sits before them.

## Parking

The garage opens at six in the morning.
"""


def test_passages_are_found_by_meaning(cast: Cast, know: Add) -> None:
    know(cast.acme, HANDBOOK)

    with tenant_context(cast.acme):
        hits = search("How much vacation do I have?")

    assert hits[0].text == "Everybody gets thirty days of paid holiday a year."
    assert hits[0].heading == "Handbook > Leave"
    assert hits[0].dense_score > 0.3
    assert hits[0].lexical_score == 0


def test_passages_are_found_by_word(cast: Cast, know: Add) -> None:
    know(cast.acme, HANDBOOK)

    with tenant_context(cast.acme):
        hits = search("RX-77")

    assert hits[0].heading == "Handbook > Expenses"
    assert hits[0].lexical_score == 1


def test_hit_knows_where_it_is_from(cast: Cast, know: Add) -> None:
    document = know(cast.acme, HANDBOOK)

    with tenant_context(cast.acme):
        hit = search("opening hours of the garage", limit=1)[0]

    assert (hit.document_id, hit.title, hit.page) == (document.id, "Handbook", None)
    assert document.text[hit.start : hit.end] == hit.text
    assert hit.score == pytest.approx(1)


def test_hits_are_ranked_and_limited(cast: Cast, know: Add) -> None:
    know(cast.acme, HANDBOOK)

    with tenant_context(cast.acme):
        hits = search("laptop security", limit=3)

    assert len(hits) == 3
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert all(0 <= hit.score <= 1 for hit in hits)


def test_charlie_finds_nothing_of_acmes(cast: Cast, know: Add) -> None:
    know(cast.acme, HANDBOOK)
    know(cast.globex, "# Guide\n\nAt Globex the garage opens at ten.\n")

    with tenant_context(cast.globex):
        hits = search("When does the garage open? RX-77 laptop holiday", limit=50)

    assert [hit.text for hit in hits] == ["At Globex the garage opens at ten."]


def test_lexical_search_finds_nothing_without_a_tenant(cast: Cast, know: Add) -> None:
    know(cast.acme, HANDBOOK)

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM knowledge_lexical_search('garage', 50)")
        assert cursor.fetchone() == (0,)


def test_search_needs_a_tenant(cast: Cast) -> None:
    with pytest.raises(NoTenant):
        search("garage")


@pytest.mark.parametrize(
    "query", ["", "the of and", "'; DROP TABLE x; --", "a & | ! <-> b:*", "100% %s", "¿?" * 50, "日本語"]
)
def test_any_query_is_searched(cast: Cast, know: Add, query: str) -> None:
    know(cast.acme, HANDBOOK)

    with tenant_context(cast.acme):
        assert len(search(query)) == 4


def test_empty_workspace_has_no_hits(cast: Cast) -> None:
    with tenant_context(cast.acme):
        assert search("garage") == []


def test_search_leaves_one_run(cast: Cast) -> None:
    with tenant_context(cast.acme):
        search("garage", user=cast.alice)

        assert list(Run.objects.values_list("feature", "user_id", "status")) == [("search", cast.alice.id, "ok")]


def test_search_takes_two_queries_beside_its_run(committed_cast: Cast, know: Add, django_assert_num_queries) -> None:
    know(committed_cast.acme, HANDBOOK)

    with tenant_context(committed_cast.acme):
        vector = np.array(Chunk.objects.first().embedding)
        with django_assert_num_queries(1):
            find("garage", vector)
        with django_assert_num_queries(4):  # a run begins and is closed
            search("garage")


class TestFuse:
    def test_best_of_both_searches_wins(self) -> None:
        both, dense, lexical = Candidate("a", 0.7, 0.2), Candidate("b", 0.8, 0.0), Candidate("c", 0.1, 0.3)

        assert [candidate for _, candidate, _ in fuse([dense, lexical, both])] == [both, lexical, dense]

    def test_what_lies_below_the_last_dense_candidate_counts_as_zero(self) -> None:
        dense = [Candidate(str(number), 0.9 - number / 100, 0.0) for number in range(50)]
        lexical = Candidate("word", -0.5, 0.4)

        scores = {candidate.chunk_id: score for score, candidate, _ in fuse([*dense, lexical])}

        assert scores["word"] == pytest.approx(0.55)
        assert scores["0"] == pytest.approx(0.45)
        assert scores["49"] == pytest.approx(0)

    def test_single_candidate_has_the_whole_score(self) -> None:
        assert fuse([Candidate("a", 0.2, 0.1)])[0][0] == pytest.approx(1)
        assert fuse([]) == []


MANY = """
INSERT INTO knowledge_chunk
    (id, tenant_id, document_id, position, start, "end", heading, text, embedding, embedding_model)
SELECT gen_random_uuid(), %s, %s, n, 0, 1, '', 'word' || n || ' common', array_agg(random() - 0.5)::real[]::vector, 'm'
FROM generate_series(1, %s) AS n, generate_series(1, 384)
GROUP BY n
"""


@pytest.fixture
def crowd(committed_cast: Cast, add: Add) -> Cast:
    """Acme has 2,000 chunks between 6,000 of other tenants', and Postgres knows how they are spread."""
    other = create_workspace("Other", owner=committed_cast.charlie, slug="other")
    with admin() as superuser:
        # An automatic ANALYZE of these vectors would hold a snapshot for seconds.
        superuser.execute("ALTER TABLE knowledge_chunk SET (autovacuum_enabled = off)")
        for tenant, count in [(committed_cast.globex, 3000), (committed_cast.acme, 2000), (other, 3000)]:
            document = add(tenant, "Many.")
            with tenant_context(tenant):
                Document.objects.update(chunk_count=count, status=Document.Status.READY)
            superuser.execute(MANY, [tenant.id, document.id, count])
        vacuum(superuser)
    return committed_cast


def vacuum(superuser: psycopg.Connection) -> None:
    """What autovacuum does in its own time. It passes over pages that an older snapshot may still look at, and, unless
    told, over those with a few rows that earlier tests deleted."""
    for _ in range(150):
        superuser.execute("VACUUM (ANALYZE, INDEX_CLEANUP ON) knowledge_chunk")
        seen = "SELECT relallvisible = relpages FROM pg_class WHERE oid = 'knowledge_chunk'::regclass"
        if superuser.execute(seen).fetchone()[0]:
            return
        time.sleep(0.2)
    raise AssertionError("something holds an old snapshot")


@in_the_pool
def test_nearest_are_found_by_the_covering_index(crowd: Cast) -> None:
    with tenant_context(crowd.acme):
        own = Chunk.objects.get(text="word77 common")
        arguments = {
            "tenant": crowd.acme.id,
            "vector": Vector(own.embedding).to_text(),
            "query": "word77",
            "least": 400,
            "share": 200,
            "most": 50,
        }
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) " + FIND, arguments)
            plan = "\n".join(line for (line,) in cursor.fetchall())
            near = plan[plan.index("CTE near") : plan.index("CTE dense")]
        candidates = find("word77", np.array(own.embedding))

    assert "Index Only Scan using chunk_bits_by_tenant" in near
    assert "rows=2000" in near
    assert "Heap Fetches: 0" in near
    assert "Seq Scan on knowledge_chunk" not in plan
    assert max(candidates, key=lambda candidate: candidate.cosine).chunk_id == own.id
    assert [candidate.chunk_id for candidate in candidates if candidate.rank] == [own.id]


@in_the_pool
def test_lexical_search_uses_its_index_under_isolation(crowd: Cast) -> None:
    with admin() as superuser:
        uses = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'chunk_words_by_tenant'"
        superuser.execute("SELECT pg_stat_clear_snapshot()")
        before = superuser.execute(uses).fetchone()[0]

        with tenant_context(crowd.acme), connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM knowledge_lexical_search('word77', 50)")
            assert cursor.fetchone() == (1,)
            cursor.execute("SELECT pg_stat_force_next_flush()")

        superuser.execute("SELECT pg_stat_clear_snapshot()")
        assert superuser.execute(uses).fetchone()[0] > before
