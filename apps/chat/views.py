import json
from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync
from django.db import transaction
from django.db.models import Prefetch, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import get_script_prefix
from django.views.decorators.http import require_GET, require_POST

from apps.knowledge.models import Document
from apps.runs import answers
from apps.tenants.audit import record
from apps.tenants.http import WorkspaceRequest
from apps.tenants.permissions import Permission, needs

from . import stream
from .ask import short
from .examples import example_questions
from .feedback import FeedbackForm, finished, give, take_back
from .marks import notes
from .models import Citation, Conversation, Feedback, Message
from .passages import citation_json
from .reply import stop

LISTED = 100


def own(request: WorkspaceRequest) -> QuerySet[Conversation]:
    return Conversation.objects.of(request.user)


def listed(request: WorkspaceRequest) -> QuerySet[Conversation]:
    return own(request).order_by("-updated_at")[:LISTED]


@require_GET
@needs(Permission.ASK)
def home(request: WorkspaceRequest) -> HttpResponse:
    return page(request, None, [])


@require_GET
@needs(Permission.ASK)
def conversation(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    found = get_object_or_404(own(request), pk=id)
    citations = Citation.objects.select_related("document").defer("document__text", "document__page_starts")
    messages = found.messages.select_related("run").prefetch_related(
        Prefetch("citations", queryset=citations.order_by("number")), "feedback"
    )
    return page(request, found, list(messages.order_by("created_at")))


def page(request: WorkspaceRequest, current: Conversation | None, messages: list[Message]) -> HttpResponse:
    for message in messages:
        message.citations_json = json.dumps([citation_json(citation) for citation in message.citations.all()])
        message.notes = notes(message)
        message.given = next(iter(message.feedback.all()), None)
    context: dict[str, Any] = {
        "conversation": current,
        "conversations": listed(request),
        "messages": messages,
        "document_count": Document.objects.filter(status=Document.Status.READY).count(),
        "socket_path": f"{get_script_prefix()}ws/chat/",
        "example_questions": [] if messages else example_questions(),
        "reasons": Feedback.Reason.choices,
    }
    return render(request, "chat/conversation.html", context)


@require_GET
@needs(Permission.ASK)
def conversations(request: WorkspaceRequest) -> HttpResponse:
    return render(request, "chat/_conversations.html", {"conversations": listed(request)})


@require_POST
@needs(Permission.ASK)
def rename(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    found = get_object_or_404(own(request), pk=id)
    if title := short(request.POST.get("title", "")):
        found.title = title
        found.save(update_fields=["title"])
    return render(request, "chat/_conversations.html", {"conversations": listed(request), "conversation": found})


@require_POST
@needs(Permission.ASK)
def delete(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    """Delete the conversation with all that was said in it, cached answers too; a reply under way is stopped."""
    found = get_object_or_404(own(request), pk=id)
    replies = found.messages.filter(role=Message.Role.ASSISTANT).values_list("id", "status")
    ended = [reply_id for reply_id, status in replies if status != Message.Status.STREAMING]
    under_way = [reply_id for reply_id, status in replies if status == Message.Status.STREAMING]
    with transaction.atomic():
        record("conversation.deleted", conversation=str(found.id))  # its title is its owner's alone
        answers.forget(found.messages.exclude(run=None).values_list("run", flat=True))
        found.delete()
    async_to_sync(forget)(ended, under_way)
    return redirect("chat:home")


@require_POST
@needs(Permission.ASK)
def feedback(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    """What the reader of an answer says of it; only who asked can. Without a rating it is taken back."""
    form = FeedbackForm(request.POST)
    with transaction.atomic():
        own = finished().filter(conversation__user=request.user).select_related("run")
        message = get_object_or_404(own.select_for_update(of=("self",)), pk=id)
        if not form.is_valid():
            return HttpResponse(form.errors.as_text(), status=400, content_type="text/plain; charset=utf-8")
        if form.cleaned_data["rating"] is None:
            take_back(message, message.run)
        else:
            give(message, message.run, **form.cleaned_data)
    return HttpResponse(status=204)


async def forget(ended: list[UUID], under_way: list[UUID]) -> None:
    await stream.forget(ended)
    for reply_id in under_way:
        await stop(reply_id)  # it finds its conversation gone and forgets its stream itself
