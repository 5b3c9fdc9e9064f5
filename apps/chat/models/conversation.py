"""What was asked and answered."""

from typing import Any, ClassVar, Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from apps.knowledge.models import Document
from apps.runs.models import Run
from apps.tenants.owned import TenantManager, TenantOwned


class ConversationQuerySet(models.QuerySet["Conversation"]):
    def of(self, user: Any) -> Self:
        """The user's own: a conversation is private to who began it."""
        return self.filter(user=user)


class Conversation(TenantOwned):
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    title = models.CharField(max_length=120)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now())

    objects: ClassVar[Any] = TenantManager.from_queryset(ConversationQuerySet)()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "id"], name="conversation_tenant_id")]
        indexes = [models.Index(fields=["tenant", "user", "-updated_at"], name="conversation_by_time")]

    def __str__(self) -> str:
        return self.title


class Message(TenantOwned):
    """A question, or a reply to one. `client_id` is the asker's own name for a question, so that a question
    sent twice over a broken connection is asked once.

    `marks` name what a reader should know of how a reply came to be; `answers` is the question that one from the cache
    was written for. `error_resets_at` is when asking again may help.
    """

    class Role(models.TextChoices):
        USER = "user", "User"
        ASSISTANT = "assistant", "Assistant"

    class Status(models.TextChoices):
        STREAMING = "streaming", "Streaming"
        OK = "ok", "OK"
        STOPPED = "stopped", "Stopped"
        FAILED = "failed", "Failed"

    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="messages", db_constraint=False
    )
    role = models.CharField(max_length=9, choices=Role)
    text = models.TextField(blank=True)
    status = models.CharField(max_length=9, choices=Status, default=Status.OK)
    error_code = models.CharField(max_length=40, blank=True)
    error_message = models.CharField(max_length=300, blank=True)
    error_action = models.CharField(max_length=300, blank=True)
    error_resets_at = models.DateTimeField(null=True)
    marks = ArrayField(models.CharField(max_length=12), default=list)
    answers = models.TextField(blank=True)
    client_id = models.UUIDField(null=True)
    in_reply_to = models.ForeignKey(
        "self", null=True, on_delete=models.CASCADE, related_name="replies", db_constraint=False
    )
    run = models.ForeignKey(Run, null=True, on_delete=models.SET_NULL, related_name="+", db_constraint=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    citations_json: str  # set by the view that shows it
    notes: list[dict[str, str]]  # likewise
    given: Any  # likewise: the Feedback on it, or None

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "id"], name="message_tenant_id"),
            models.UniqueConstraint(fields=["tenant", "conversation", "client_id"], name="message_asked_once"),
        ]
        indexes = [models.Index(fields=["tenant", "conversation", "created_at"], name="message_by_time")]

    def __str__(self) -> str:
        return self.text[:60]


class Citation(TenantOwned):
    """The passage behind a mark such as [2] in a reply. It goes when its document goes."""

    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="citations", db_constraint=False)
    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="+", db_constraint=False)
    chunk_id = models.UUIDField()
    number = models.PositiveSmallIntegerField()
    heading = models.TextField(blank=True)
    page = models.PositiveIntegerField(null=True)
    quote = models.TextField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "message", "number"], name="citation_number")]
        indexes = [models.Index(fields=["tenant", "document"], name="citation_by_document")]

    def __str__(self) -> str:
        return f"[{self.number}] {self.heading}"
