"""Taking everything out of a workspace, and deleting it: for its owners."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from allauth.account.internal.flows.reauthentication import did_recently_reauthenticate
from django.contrib import messages
from django.core.files import File
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.cache import add_never_cache_headers
from django.views.decorators.http import require_GET, require_POST

from . import exporting, leaving
from .audit import record
from .http import WorkspaceRequest
from .models import Export, Membership
from .permissions import Permission, needs
from .templatetags.workspace import hub_url, workspace_url
from .threads import in_thread

BLOCK = 1 << 20


def show(request: WorkspaceRequest, **more: Any) -> HttpResponse:
    export = exporting.latest()
    context = {
        "export": export,
        "kept_for_days": exporting.KEPT_FOR.days,
        "members": Membership.objects.count(),
        "is_sure": did_recently_reauthenticate(request),
        "reauthenticate_url": f"{hub_url('account_reauthenticate')}?{urlencode({'next': here(request)})}",
        **more,
    }
    page = "tenants/_export.html" if request.htmx else "tenants/leaving.html"
    return render(request, page, context, status=422 if more else 200)


def here(request: WorkspaceRequest) -> str:
    return workspace_url(request.workspace, "workspace:leaving") + "#delete"


@require_GET
@needs(Permission.EXPORT)
def leaving_page(request: WorkspaceRequest) -> HttpResponse:
    return show(request)


@require_POST
@needs(Permission.EXPORT)
def prepare_export(request: WorkspaceRequest) -> HttpResponse:
    exporting.ask_for_export(request.user)
    return show(request) if request.htmx else redirect("workspace:leaving")


@require_GET
@needs(Permission.EXPORT)
def download_export(request: WorkspaceRequest, id: UUID) -> StreamingHttpResponse:
    export = get_object_or_404(Export.objects, pk=id)
    if not export.is_ready:
        raise Http404("It is not there, or not any more.")
    try:
        file = export.file.open("rb")
    except FileNotFoundError as error:
        raise Http404("It has just been replaced.") from error
    record("export.downloaded")
    response = StreamingHttpResponse(blocks(file), content_type="application/zip")
    response["Content-Length"] = str(export.size_bytes)
    name = f"{request.workspace.slug}-{export.finished_at:%Y-%m-%d}.zip"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    add_never_cache_headers(response)
    return response


async def blocks(file: File) -> AsyncIterator[bytes]:
    """The file, a part at a time: Django reads a FileResponse into memory before it sends it from here."""
    with file:
        while block := await in_thread(file.read, BLOCK):
            yield block


@require_POST
@needs(Permission.DELETE_WORKSPACE)
def delete_workspace(request: WorkspaceRequest) -> HttpResponse:
    """Only for who has just proved who they are, and has typed the address."""
    if not did_recently_reauthenticate(request):
        return redirect(f"{hub_url('account_reauthenticate')}?{urlencode({'next': here(request)})}")
    if request.POST.get("address", "").strip() != request.workspace.slug:
        return show(request, fault=f"That is not its address. Write {request.workspace.slug} to delete it.")
    leaving.leave(request.workspace)
    messages.success(request, f"{request.workspace.name} is closed, and is being deleted.")
    return redirect(f"{hub_url('workspaces')}?all")
