"""A document becomes searchable once and wholly, or says why it can't, whatever happens meanwhile."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import numpy as np
from django.db import connection

from apps.knowledge.add import remove
from apps.knowledge.chunk import embedding_text
from apps.knowledge.ingest import ingest
from apps.knowledge.models import Chunk, Document
from apps.knowledge.tasks import ingest_document
from apps.runs.chain import embedder
from apps.runs.models import Run
from apps.tenants.context import tenant_context
from apps.tenants.models import Tenant
from config.celery import HEADER, NoTenantHeader
from tests.conftest import ROOT, Cast

from .conftest import Add
from .files import Text, column, pdf

Status = Document.Status

LEAVE = "# Leave\n\nEverybody gets thirty days of paid leave a year.\n\n## Sick leave\n\nCall before nine.\n"


def almanac(days: int = 320) -> str:
    """Five batches of short passages: they take a second or two to embed, so that something can happen meanwhile."""
    return "\n\n".join(f"# Day {day}\n\nOn day {day} it rained." for day in range(days))


def wait_for(document: Document, *statuses: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while Document.objects.values_list("status", flat=True).get(pk=document.pk) not in statuses:
        assert time.monotonic() < deadline, f"never {statuses}"
        time.sleep(0.02)


@contextmanager
def ingesting(tenant: Tenant, document_id: UUID) -> Iterator[None]:
    """Ingest in a thread of its own meanwhile; what it raises is raised here."""
    raised: list[BaseException] = []

    def work() -> None:
        try:
            with tenant_context(tenant):
                ingest(document_id)
        except BaseException as error:
            raised.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join(timeout=60)
    assert raised == []


def test_document_becomes_searchable(cast: Cast, know: Add) -> None:
    document = know(cast.acme, LEAVE, "leave_policy.md")

    assert (document.status, document.progress_percent, document.chunk_count) == (Status.READY, 100, 2)
    assert document.title == "Leave"
    with tenant_context(cast.acme):
        chunks = list(Chunk.objects.order_by("position"))
    assert [chunk.heading for chunk in chunks] == ["Leave", "Leave > Sick leave"]
    assert [document.text[chunk.start : chunk.end] for chunk in chunks] == [chunk.text for chunk in chunks]
    expected = embedder().embed([embedding_text(chunk.heading, chunk.text) for chunk in chunks]).vectors
    assert np.allclose([chunk.embedding for chunk in chunks], expected, atol=1e-6)
    assert {chunk.embedding_model for chunk in chunks} == {embedder().model}


def test_pages_are_kept(cast: Cast, know: Add) -> None:
    pages = [
        [Text("Travel policy", y=780, size=18), *column("Book trains through the portal.")],
        [Text("Hotels", y=780, size=14), *column("A room costs at most 120 euros a night.")],
    ]

    document = know(cast.acme, pdf(*pages), "travel.pdf")

    assert (document.title, document.page_count) == ("Travel policy", 2)
    with tenant_context(cast.acme):
        chunks = list(Chunk.objects.order_by("position").values_list("heading", "page", "text"))
    assert chunks == [
        ("Travel policy", 1, "Book trains through the portal."),
        ("Travel policy > Hotels", 2, "A room costs at most 120 euros a night."),
    ]


def test_embedding_leaves_runs(cast: Cast, know: Add) -> None:
    know(cast.acme, LEAVE)

    with tenant_context(cast.acme):
        runs = list(Run.objects.values_list("feature", "kind", "status"))
    assert runs == [("ingest", "embedding", "ok")]


def test_document_without_a_title_keeps_its_name(cast: Cast, know: Add) -> None:
    assert know(cast.acme, "Thirty days.", "leave_policy.txt").title == "leave policy"


def test_failure_says_what_is_wrong_and_can_be_retried(cast: Cast, know: Add) -> None:
    document = know(cast.acme, pdf([], picture=True), "scan.pdf")

    assert (document.status, document.error_code, document.chunk_count) == (Status.FAILED, "scan", 0)
    assert document.error_message.startswith("No text found in this file")
    assert document.error_action == "Run text recognition (OCR) on it and upload the result."

    Path(document.file.path).write_bytes(pdf(column("Recognised text.")))
    with tenant_context(cast.acme):
        document.requeue()
        ingest(document.id)
        document.refresh_from_db()
    assert (document.status, document.error_code, document.error_message) == (Status.READY, "", "")
    assert document.text == "Recognised text."


def test_what_nobody_expected_is_stored_without_detail(cast: Cast, add: Add, settings, tmp_path: Path) -> None:
    embedder.cache_clear()
    settings.MINILM_DIR = tmp_path / "nowhere"
    document = add(cast.acme, LEAVE)

    try:
        with tenant_context(cast.acme):
            ingest(document.id)
            document.refresh_from_db()
    finally:
        embedder.cache_clear()

    assert (document.status, document.error_code) == (Status.FAILED, "internal")
    assert str(tmp_path) not in document.error_message


def test_failed_retry_keeps_what_was_searchable(cast: Cast, know: Add) -> None:
    document = know(cast.acme, LEAVE)

    Path(document.file.path).unlink()
    with tenant_context(cast.acme):
        document.requeue()
        ingest(document.id)
        document.refresh_from_db()

    assert (document.status, document.error_code) == (Status.FAILED, "missing")
    with tenant_context(cast.acme):
        assert Chunk.objects.count() == 2


def test_ready_document_is_not_ingested_again(cast: Cast, know: Add) -> None:
    document = know(cast.acme, LEAVE)

    with tenant_context(cast.acme):
        ingest(document.id)
        assert Run.objects.count() == 1


def test_other_tenants_document_is_not_touched(cast: Cast, add: Add) -> None:
    document = add(cast.acme, LEAVE)

    with tenant_context(cast.globex):
        ingest(document.id)

    with tenant_context(cast.acme):
        document.refresh_from_db()
    assert (document.status, document.attempt) == (Status.QUEUED, None)


def test_requeued_document_replaces_its_chunks(cast: Cast, know: Add) -> None:
    document = know(cast.acme, LEAVE)

    Path(document.file.path).write_text("# Leave\n\nTwenty days.\n")
    with tenant_context(cast.acme):
        document.requeue()
        ingest(document.id)
        assert list(Chunk.objects.values_list("text", flat=True)) == ["Twenty days."]


def test_progress_is_seen_while_it_is_made(committed_cast: Cast, add: Add) -> None:
    document = add(committed_cast.acme, almanac(), "almanac.md")
    seen: list[tuple[str, int]] = []

    with tenant_context(committed_cast.acme), ingesting(committed_cast.acme, document.id):
        while not seen or seen[-1][0] not in (Status.READY, Status.FAILED):
            now = Document.objects.values_list("status", "progress_percent").get(pk=document.pk)
            if now not in seen:
                seen.append(now)
                assert Chunk.objects.exists() == (now[0] == Status.READY)
            time.sleep(0.02)

    assert [percent for _, percent in seen] == sorted(percent for _, percent in seen)
    assert [status for status in dict(seen) if status != Status.QUEUED] == [
        Status.PARSING,
        Status.EMBEDDING,
        Status.READY,
    ]
    assert len(seen) >= 5


def test_second_ingestion_at_the_same_time_takes_over(committed_cast: Cast, add: Add) -> None:
    document = add(committed_cast.acme, almanac(), "almanac.md")

    with tenant_context(committed_cast.acme):
        with ingesting(committed_cast.acme, document.id):
            wait_for(document, Status.EMBEDDING)
            first_attempt = Document.objects.values_list("attempt", flat=True).get(pk=document.pk)
            ingest(document.id)
        document.refresh_from_db()
        positions = list(Chunk.objects.order_by("position").values_list("position", flat=True))

    assert document.status == Status.READY
    assert document.attempt != first_attempt
    assert positions == list(range(document.chunk_count))


def test_deletion_meanwhile_ends_ingestion_quietly(committed_cast: Cast, add: Add) -> None:
    document = add(committed_cast.acme, almanac(), "almanac.md")

    with tenant_context(committed_cast.acme):
        with ingesting(committed_cast.acme, document.id):
            wait_for(document, Status.EMBEDDING)
            remove(Document.objects.get(pk=document.pk))
        assert not Document.objects.exists()
        assert not Chunk.objects.exists()


def test_killed_worker_leaves_nothing_half_done(committed_cast: Cast, add: Add, media: Path) -> None:
    document = add(committed_cast.acme, almanac(), "almanac.md")
    work = (
        "import django; django.setup()\n"
        "from apps.knowledge.ingest import ingest\n"
        "from apps.tenants.context import tenant_context\n"
        "from apps.tenants.platform import find_workspace\n"
        f"with tenant_context(find_workspace('acme')): ingest('{document.id}')\n"
    )
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings", "MEDIA_ROOT": str(media)}

    with tenant_context(committed_cast.acme):
        worker = subprocess.Popen([sys.executable, "-c", work], cwd=ROOT, env=environment)
        try:
            wait_for(document, Status.EMBEDDING)
        finally:
            worker.kill()
        assert worker.wait() == -signal.SIGKILL
        assert not Chunk.objects.exists()

        ingest(document.id)

        document.refresh_from_db()
        assert document.status == Status.READY
        assert Chunk.objects.count() == document.chunk_count == 320


def test_task_acts_for_the_tenant_of_its_header(committed_cast: Cast, add: Add) -> None:
    document = add(committed_cast.acme, LEAVE)

    homeless = ingest_document.apply(args=[str(document.id)])
    other = ingest_document.apply(args=[str(document.id)], headers={HEADER: str(committed_cast.globex.id)})
    with tenant_context(committed_cast.acme):
        document.refresh_from_db()
    assert isinstance(homeless.result, NoTenantHeader)
    assert (other.state, document.status) == ("SUCCESS", Status.QUEUED)

    ingest_document.apply(args=[str(document.id)], headers={HEADER: str(committed_cast.acme.id)})
    with tenant_context(committed_cast.acme):
        document.refresh_from_db()
    assert document.status == Status.READY


def test_delete_removes_every_trace(committed_cast: Cast, know: Add, media: Path) -> None:
    document = know(committed_cast.acme, LEAVE)

    with tenant_context(committed_cast.acme):
        remove(document)
        assert not Chunk.objects.exists()
    assert [path for path in media.rglob("*") if path.is_file()] == []
