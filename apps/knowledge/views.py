from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import FileResponse, Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from apps.tenants.http import WorkspaceRequest
from apps.tenants.permissions import Permission, needs

from .add import ACCEPT, Notice, add, remove, requeue
from .links import passage_path
from .models import Chunk, Document
from .search import search
from .segments import segments


def table_context(notices: list[Notice] | None = None) -> dict[str, Any]:
    documents = list(Document.objects.listed())
    return {
        "documents": documents,
        "busy": any(document.is_busy for document in documents),
        "notices": notices or [],
        "accept": ACCEPT,
        "max_size_mb": settings.MAX_UPLOAD_MB,
    }


@require_GET
@needs(Permission.READ)
def documents(request: WorkspaceRequest) -> HttpResponse:
    return render(request, "knowledge/documents.html", table_context())


@require_GET
@needs(Permission.READ)
def table(request: WorkspaceRequest) -> HttpResponse:
    return render(request, "knowledge/_documents.html", table_context())


@require_POST
@needs(Permission.CHANGE_DOCUMENTS)
def upload(request: WorkspaceRequest) -> HttpResponse:
    outcomes = [add(file, user=request.user) for file in request.FILES.getlist("files")]
    notices = [outcome for outcome in outcomes if isinstance(outcome, Notice)]
    if not outcomes:
        notices = [Notice("", "error", "No file arrived. Choose at least one.")]
    return render(request, "knowledge/_documents.html", table_context(notices))


@require_GET
@needs(Permission.READ)
def document(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    """The document's text, with the passage named in `?passage=` marked."""
    found = get_object_or_404(Document.objects, pk=id)
    try:
        passage_id: UUID | None = UUID(request.GET.get("passage", ""))
    except ValueError:
        passage_id = None
    passage = Chunk.objects.filter(document=found, pk=passage_id).first()
    return render(request, "knowledge/document.html", {"document": found, "segments": segments(found, passage)})


@require_GET
@needs(Permission.READ)
def original(request: WorkspaceRequest, id: UUID) -> FileResponse:
    """The uploaded bytes, as a download: never shown by the browser on our origin."""
    found = get_object_or_404(Document.objects, pk=id)
    response = FileResponse(found.file.open("rb"), as_attachment=True, filename=found.filename)
    response["Content-Type"] = "application/octet-stream"
    return response


@require_POST
@needs(Permission.CHANGE_DOCUMENTS)
def retry(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    found = get_object_or_404(Document.objects, pk=id)
    if found.status != Document.Status.FAILED and not found.is_stalled:
        raise Http404("It is not waiting to be tried again.")
    requeue(found)
    return render(request, "knowledge/_documents.html", table_context())


@require_POST
@needs(Permission.CHANGE_DOCUMENTS)
def delete(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    remove(get_object_or_404(Document.objects, pk=id))
    if request.htmx:
        return render(request, "knowledge/_documents.html", table_context())
    return redirect("knowledge:documents")


@require_GET
@needs(Permission.READ)
def search_page(request: WorkspaceRequest) -> HttpResponse:
    """What retrieval finds for a query, and why it ranks as it does."""
    q = request.GET.get("q", "").replace("\0", "").strip()[:500]
    results = search(q, limit=10, user=request.user) if q else []
    for hit in results:
        hit.url = passage_path(hit.document_id, hit.chunk_id)
    return render(request, "knowledge/search.html", {"q": q, "results": results})
