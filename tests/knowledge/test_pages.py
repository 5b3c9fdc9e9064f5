"""The documents' pages: upload, status, view, retry, delete; and an outsider who gets nothing of them."""

import re
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from apps.chat.models import Conversation
from apps.knowledge.add import store
from apps.knowledge.ingest import ingest
from apps.knowledge.models import Chunk, Document
from apps.knowledge.tasks import ingest_document
from apps.knowledge.unfinished import queue_unfinished
from apps.runs.models import Run
from apps.tenants.context import tenant_context
from apps.tenants.models import Membership
from apps.tenants.suspend import resume, suspend
from config.celery import HEADER, TenantClosed
from config.celery import app as celery_app
from tests.conftest import Cast, signed_in

pytestmark = pytest.mark.pool_and_silo

TEXT = b"# Leave\n\nEverybody at Acme gets 28 days of paid leave a year.\n"


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict]]:
    """What was published, with its headers, on the way to a real broker that no worker listens to."""
    published: list[tuple[str, dict]] = []
    from celery.signals import after_task_publish

    def hear(sender: str = "", headers: dict | None = None, **_: object) -> None:
        published.append((sender, headers or {}))

    after_task_publish.connect(hear, weak=False)
    yield published
    after_task_publish.disconnect(hear)
    celery_app.control.purge()


@pytest.fixture
def handbook(cast: Cast, media: Path) -> Document:
    with tenant_context(cast.acme):
        document = store(ContentFile(TEXT, name="leave.md"), user=cast.alice)
        ingest(document.id)
        return Document.objects.get()


def upload(client: Client, *files: SimpleUploadedFile) -> str:
    return client.post("/t/acme/documents/upload/", {"files": list(files)}).content.decode()


def test_uploads_are_stored_and_queued_for_their_tenant(cast: Cast, media: Path, queue: list) -> None:
    page = upload(
        signed_in(cast.bob), SimpleUploadedFile("leave.md", TEXT), SimpleUploadedFile("plain.txt", b"Some plain text.")
    )

    assert "leave.md" in page and "plain.txt" in page
    with tenant_context(cast.acme):
        documents = {document.filename: document for document in Document.objects.all()}
    assert documents.keys() == {"leave.md", "plain.txt"}
    assert documents["leave.md"].uploaded_by == cast.bob
    assert Path(documents["leave.md"].file.path).read_bytes() == TEXT
    assert str(cast.acme.id) in documents["leave.md"].file.path
    assert [(name, headers["tenant_id"]) for name, headers in queue] == [
        ("apps.knowledge.tasks.ingest_document", str(cast.acme.id))
    ] * 2


def test_the_same_bytes_are_recognised_and_bad_files_say_why(cast: Cast, handbook: Document, queue: list) -> None:
    page = upload(
        signed_in(cast.alice),
        SimpleUploadedFile("another-name.md", TEXT),
        SimpleUploadedFile("empty.txt", b""),
        SimpleUploadedFile("program.exe", b"MZ\x90\x00" + b"\x00" * 100),
        SimpleUploadedFile("really.pdf", b"not a pdf at all"),
    )

    assert "Already here as" in page
    assert "This file is empty" in page
    assert "program.exe" in page and "really.pdf" in page
    with tenant_context(cast.acme):
        assert Document.objects.count() == 1
    assert queue == []


def test_too_large_a_file_says_the_limit(cast: Cast, media: Path, settings: object, queue: list) -> None:
    settings.MAX_UPLOAD_MB = 1

    page = upload(signed_in(cast.alice), SimpleUploadedFile("big.txt", b"x" * (1024 * 1024 + 1)))

    assert "Larger than 1 MB" in page


def test_no_file_at_all_is_said(cast: Cast, media: Path) -> None:
    assert "No file arrived" in upload(signed_in(cast.alice))


def test_a_passage_is_marked_in_its_document(cast: Cast, handbook: Document) -> None:
    with tenant_context(cast.acme):
        chunk = Chunk.objects.get()
    client = signed_in(cast.bob)

    page = client.get(f"/t/acme/documents/{handbook.id}/?passage={chunk.id}").content.decode()

    assert "<mark" in page and "28 days of paid leave" in page.split("<mark", 1)[1].split("</mark>")[0]
    assert client.get(f"/t/acme/documents/{handbook.id}/?passage=nonsense").status_code == 200


def test_the_original_is_a_download_and_never_a_page(cast: Cast, handbook: Document) -> None:
    response = signed_in(cast.bob).get(f"/t/acme/documents/{handbook.id}/original/")

    assert b"".join(response.streaming_content) == TEXT
    assert response["Content-Type"] == "application/octet-stream"
    assert response["Content-Disposition"] == 'attachment; filename="leave.md"'
    assert response["X-Content-Type-Options"] == "nosniff"


def test_a_failed_document_says_why_and_is_retried(cast: Cast, handbook: Document, queue: list) -> None:
    with tenant_context(cast.acme):
        Document.objects.update(
            status="failed", error_code="password", error_message="It is locked.", error_action="Remove the password."
        )
    client = signed_in(cast.alice)
    assert "It is locked." in client.get("/t/acme/documents/").content.decode()

    page = client.post(f"/t/acme/documents/{handbook.id}/retry/").content.decode()

    assert "It is locked." not in page
    assert [name for name, _ in queue] == ["apps.knowledge.tasks.ingest_document"]
    assert client.post(f"/t/acme/documents/{handbook.id}/retry/").status_code == 404  # it isn't failed any more


def test_a_document_that_nobody_works_on_can_be_tried_again(cast: Cast, handbook: Document, queue: list) -> None:
    client = signed_in(cast.alice)
    with tenant_context(cast.acme):
        Document.objects.update(status="embedding", progressed_at=timezone.now())
    assert client.post(f"/t/acme/documents/{handbook.id}/retry/").status_code == 404

    with tenant_context(cast.acme):
        Document.objects.update(progressed_at=timezone.now() - timedelta(minutes=5))

    assert "Nothing has happened for a while" in client.get("/t/acme/documents/").content.decode()
    assert client.post(f"/t/acme/documents/{handbook.id}/retry/").status_code == 200
    assert len(queue) == 1


def test_deleting_leaves_no_row_and_no_file(
    cast: Cast, handbook: Document, media: Path, django_capture_on_commit_callbacks: object
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        response = signed_in(cast.alice).post(f"/t/acme/documents/{handbook.id}/delete/")

    assert response.url == "/t/acme/documents/"
    with tenant_context(cast.acme):
        assert (Document.objects.count(), Chunk.objects.count()) == (0, 0)
    assert [path for path in media.rglob("*") if path.is_file()] == []


def test_search_shows_what_was_found_and_why(cast: Cast, handbook: Document) -> None:
    page = signed_in(cast.bob).get("/t/acme/search/", {"q": "paid leave"}).content.decode()

    assert "28 days of paid leave" in page
    with tenant_context(cast.acme):
        assert Run.objects.filter(kind="embedding", user=cast.bob).count() == 1


def test_an_outsider_gets_nothing_of_acmes_documents(cast: Cast, handbook: Document) -> None:
    charlie = signed_in(cast.charlie)
    with tenant_context(cast.acme):
        chunk, conversation = Chunk.objects.get(), Conversation.objects.create(user=cast.alice, title="Secret")
    tried = 0
    for prefix in ("/t/acme/", "/t/globex/"):  # by Acme's address, and by guessing ids under their own
        for path in (
            f"documents/{handbook.id}/",
            f"documents/{handbook.id}/?passage={chunk.id}",
            f"documents/{handbook.id}/original/",
            f"chat/{conversation.id}/",
        ):
            assert charlie.get(prefix + path).status_code == 404
            tried += 1
        for path in (f"documents/{handbook.id}/retry/", f"documents/{handbook.id}/delete/"):
            assert charlie.post(prefix + path).status_code == 404
            tried += 1
        for path in (f"chat/{conversation.id}/rename/", f"chat/{conversation.id}/delete/"):
            assert charlie.post(prefix + path, {"title": "mine"}).status_code == 404
            tried += 1
    assert tried == 16
    assert "28 days" not in charlie.get("/t/globex/search/", {"q": "paid leave"}).content.decode()
    assert "leave.md" not in charlie.get("/t/globex/documents/").content.decode()
    with tenant_context(cast.acme):
        assert Document.objects.filter(pk=handbook.pk).exists()
        assert Conversation.objects.get().title == "Secret"


def test_a_colleague_sees_documents_but_not_anothers_conversation(cast: Cast, handbook: Document) -> None:
    with tenant_context(cast.acme):
        conversation = Conversation.objects.create(user=cast.alice, title="Private")
    bob = signed_in(cast.bob)

    assert bob.get(f"/t/acme/documents/{handbook.id}/").status_code == 200
    assert bob.get(f"/t/acme/chat/{conversation.id}/").status_code == 404
    assert "Private" not in bob.get("/t/acme/").content.decode()


def test_a_task_without_a_tenant_fails_loudly(db: None) -> None:
    from apps.knowledge.tasks import ingest_document
    from config.celery import NoTenantHeader

    with pytest.raises(NoTenantHeader, match="ingest_document"):
        ingest_document.apply(args=[str(uuid.uuid4())], throw=True)


@pytest.mark.django_db(transaction=True, databases=["default", "platform"])
def test_documents_of_a_killed_worker_are_queued_again(committed_cast: Cast, media: Path, queue: list) -> None:
    for tenant, status in ((committed_cast.acme, "embedding"), (committed_cast.globex, "ready")):
        with tenant_context(tenant):
            document = store(ContentFile(TEXT, name="leave.md"), user=None)
            Document.objects.filter(pk=document.pk).update(status=status)

    assert queue_unfinished() == 1

    assert [headers["tenant_id"] for _, headers in queue] == [str(committed_cast.acme.id)]


def test_a_documents_headings_are_shown_as_headings(cast: Cast, handbook: Document) -> None:
    page = signed_in(cast.bob).get(f"/t/acme/documents/{handbook.id}/").content.decode()

    assert re.search(r'<h3 class="document-heading">\s*Leave\s*</h3>', page)


def test_a_cited_heading_is_marked(cast: Cast, media: Path) -> None:
    with tenant_context(cast.acme):
        ingest(
            store(ContentFile(b"# Rules\n\n## Dogs are not allowed\n\n## Cats are\n", name="rules.md"), user=None).id
        )
        chunk = Chunk.objects.filter(text__contains="Dogs").first()

    page = signed_in(cast.bob).get(f"/t/acme/documents/{chunk.document_id}/?passage={chunk.id}").content.decode()

    assert "Dogs are not allowed" in page.split("<mark", 1)[1].split("</mark>")[0]


def test_viewers_read_and_change_nothing(cast: Cast, handbook: Document) -> None:
    with tenant_context(cast.acme):
        Membership.objects.filter(user=cast.bob).update(role=Membership.Role.VIEWER)
    viewer = signed_in(cast.bob)

    assert viewer.get(f"/t/acme/documents/{handbook.id}/").status_code == 200
    assert "data-upload" not in viewer.get("/t/acme/documents/").content.decode()
    assert viewer.post("/t/acme/documents/upload/").status_code == 403
    for action in ("retry", "delete"):
        assert viewer.post(f"/t/acme/documents/{handbook.id}/{action}/").status_code == 403


def test_an_upload_while_the_queue_is_away_is_kept_and_can_be_tried_again(
    cast: Cast, media: Path, settings: object, queue: list
) -> None:
    transport, celery_app.conf.broker_url = celery_app.conf.broker_url, "redis://127.0.0.1:1/0"
    celery_app.conf.broker_transport_options = {"retry_on_timeout": False, "socket_connect_timeout": 0.2}
    publisher = celery_app.amqp._producer_pool
    celery_app.amqp._producer_pool = celery_app._pool = None
    celery_app.conf.task_publish_retry = False
    try:
        page = upload(signed_in(cast.alice), SimpleUploadedFile("leave.md", TEXT))
    finally:
        celery_app.conf.broker_url, celery_app.conf.task_publish_retry = transport, True
        celery_app.conf.broker_transport_options = {}
        celery_app.amqp._producer_pool, celery_app._pool = publisher, None
    assert "can&#x27;t be read right now" in page

    with tenant_context(cast.acme):
        document = Document.objects.get()
    assert (document.status, document.error_code) == ("failed", "queue")
    assert signed_in(cast.alice).post(f"/t/acme/documents/{document.id}/retry/").status_code == 200
    assert len(queue) == 1


def test_a_null_character_in_a_search_is_no_error(cast: Cast) -> None:
    assert signed_in(cast.bob).get("/t/acme/search/?q=%00leave").status_code == 200


def test_a_line_of_nothing_but_brackets_costs_no_time_worth_naming() -> None:
    from apps.knowledge.chunk import chunk

    assert len(chunk("# " + "[" * 200_000)) > 0  # quadratic, it would take minutes


def test_a_task_that_meets_no_database_is_tried_again(committed_cast: Cast) -> None:
    from celery.exceptions import Retry
    from django.db import connection

    from apps.knowledge.tasks import ingest_document

    headers = {"tenant_id": str(committed_cast.acme.id)}
    parameters = dict(connection.settings_dict)
    connection.close()
    connection.close_pool()
    connection.settings_dict.update(HOST="127.0.0.1", PORT="1", OPTIONS={})
    try:
        with pytest.raises(Retry, match="connection"):
            ingest_document.apply(args=[str(uuid.uuid4())], headers=headers, throw=True)
    finally:
        connection.close()
        connection.settings_dict.update(parameters)


@pytest.mark.django_db(transaction=True, databases=["default", "platform"])
def test_documents_wait_while_their_workspace_is_suspended(committed_cast: Cast, media: Path, queue: list) -> None:
    with tenant_context(committed_cast.acme):
        document = store(ContentFile(TEXT, name="leave.md"), user=None)
    suspend(committed_cast.acme)

    refused = ingest_document.apply(args=[str(document.id)], headers={HEADER: str(committed_cast.acme.id)})
    assert isinstance(refused.result, TenantClosed)
    assert queue_unfinished() == 0

    resume(committed_cast.acme)
    assert [headers["tenant_id"] for _, headers in queue] == [str(committed_cast.acme.id)]
