"""What a workspace knows: its documents, and the chunks they are searched by."""

from datetime import timedelta
from pathlib import PurePath
from typing import Any, ClassVar, Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone
from pgvector.django import BitField, VectorField

from apps.tenants.owned import TenantManager, TenantOwned

DIMENSIONS = 384


def original_path(document: "Document", filename: str) -> str:
    """Where the uploaded bytes lie under MEDIA_ROOT: the tenant's folder, and nothing of the client's naming."""
    return f"{document.tenant_id}/{document.id}/original{PurePath(filename).suffix.lower()[:10]}"


FINISHED = ("ready", "failed")
STALLED_AFTER = timedelta(minutes=2)


class DocumentQuerySet(models.QuerySet["Document"]):
    def listed(self) -> Self:
        """Newest first, without the long columns."""
        return self.defer("text", "page_starts").select_related("uploaded_by").order_by("-created_at")


class Document(TenantOwned):
    """An uploaded file, its text, and how far its ingestion has come.

    `text` is light Markdown. `page_starts` holds the offset in `text` at which each page begins, if it has pages.
    `attempt` names the ingestion that may write; a newer one takes over and an older one stops. `progressed_at` is
    when one last did.
    """

    class Kind(models.TextChoices):
        PDF = "pdf", "PDF"
        DOCX = "docx", "Word"
        HTML = "html", "HTML"
        MARKDOWN = "md", "Markdown"
        TEXT = "txt", "Text"

    class Status(models.TextChoices):
        QUEUED = "queued", "Queued"
        PARSING = "parsing", "Reading"
        EMBEDDING = "embedding", "Indexing"
        READY = "ready", "Ready"
        FAILED = "failed", "Failed"

    title = models.CharField(max_length=300)
    filename = models.CharField(max_length=255)
    kind = models.CharField(max_length=4, choices=Kind)
    file = models.FileField(upload_to=original_path, max_length=200)
    size_bytes = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    status = models.CharField(max_length=9, choices=Status, default=Status.QUEUED)
    progress_percent = models.PositiveSmallIntegerField(default=0)
    attempt = models.UUIDField(null=True)
    progressed_at = models.DateTimeField(db_default=Now(), editable=False)
    error_code = models.CharField(max_length=40, blank=True)
    error_message = models.CharField(max_length=300, blank=True)
    error_action = models.CharField(max_length=300, blank=True)
    text = models.TextField(blank=True)
    page_starts = ArrayField(models.PositiveIntegerField(), default=list)
    page_count = models.PositiveIntegerField(default=0)
    chunk_count = models.PositiveIntegerField(default=0)
    uploaded_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects: ClassVar[Any] = TenantManager.from_queryset(DocumentQuerySet)()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "id"], name="document_tenant_id"),
            models.UniqueConstraint(fields=["tenant", "sha256"], name="document_same_bytes_once"),
        ]
        indexes = [models.Index(fields=["tenant", "-created_at"], name="document_by_time")]

    def __str__(self) -> str:
        return self.title

    @property
    def is_busy(self) -> bool:
        return self.status not in FINISHED

    @property
    def is_stalled(self) -> bool:
        """Whether nothing has happened for so long that a person should be able to do something."""
        return self.is_busy and timezone.now() - self.progressed_at > STALLED_AFTER

    def fail(self, code: str, message: str, action: str) -> None:
        self.status, self.error_code, self.error_message, self.error_action = self.Status.FAILED, code, message, action
        self.save(update_fields=["status", "error_code", "error_message", "error_action"])

    def requeue(self) -> None:
        """Forget how ingestion failed; its next attempt begins anew."""
        self.status, self.progress_percent = self.Status.QUEUED, 0
        self.error_code = self.error_message = self.error_action = ""
        self.progressed_at = timezone.now()
        fields = ["status", "progress_percent", "progressed_at", "error_code", "error_message", "error_action"]
        self.save(update_fields=fields)


class Chunk(TenantOwned):
    """A passage of a document: `document.text[start:end] == text`.

    `heading` is "title > heading > ...". `bits` is the embedding's signs, what the covering index holds and
    search compares first; `words` is what lexical search reads. Both are the database's to compute.
    """

    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="chunks", db_constraint=False)
    position = models.PositiveIntegerField()
    start = models.PositiveIntegerField()
    end = models.PositiveIntegerField()
    heading = models.TextField(blank=True)
    page = models.PositiveIntegerField(null=True)
    text = models.TextField()
    embedding = VectorField(dimensions=DIMENSIONS)
    embedding_model = models.CharField(max_length=60)
    bits = models.GeneratedField(
        expression=models.Func(
            "embedding", function="binary_quantize", template="(%(function)s(%(expressions)s)::bit(384))"
        ),
        output_field=BitField(length=DIMENSIONS),
        db_persist=True,
    )
    words = models.GeneratedField(
        expression=models.Func(
            "heading", "text", template="to_tsvector('english'::regconfig, %(expressions)s)", arg_joiner=" || ' ' || "
        ),
        output_field=SearchVectorField(),
        db_persist=True,
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "document", "position"], name="chunk_position"),
            models.CheckConstraint(condition=models.Q(end__gt=models.F("start")), name="chunk_not_empty"),
        ]
        indexes = [
            # Search never leaves this index until it has a few hundred candidates of one tenant.
            models.Index(fields=["tenant"], include=["id", "bits"], name="chunk_bits_by_tenant"),
            GinIndex(fields=["tenant", "words"], name="chunk_words_by_tenant"),
        ]

    def __str__(self) -> str:
        return self.heading
