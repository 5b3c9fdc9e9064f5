"""A batch with a row for each of some documents: its title and its text are the columns."""

from collections.abc import Iterable, Iterator
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from apps.runs.batches.create import create
from apps.runs.batches.errors import BadFile, Flaw, Refused
from apps.runs.batches.read import MOST_CELL_CHARS, MOST_ROWS, Sheet
from apps.tenants.http import WorkspaceRequest
from apps.tenants.permissions import Permission, needs

from .models import Document

COLUMNS = ("title", "text")
LISTED = 500


@require_http_methods(["GET", "POST"])
@needs(Permission.RUN_BATCHES)
def batch(request: WorkspaceRequest) -> HttpResponse:
    """Choose documents that are read; those chosen become a draft."""
    faults: list[str] = []
    chosen = {id for id in map(as_uuid, request.POST.getlist("document")) if id}
    if request.method == "POST":
        found = Document.objects.filter(pk__in=chosen, status=Document.Status.READY).order_by("title", "pk")
        try:
            made = create("Documents", sheet=sheet_of(found), user=request.user)
        except BadFile as bad:
            faults = [str(flaw) for flaw in bad.flaws]
        except Refused as refused:
            faults = [str(refused)]
        else:
            return redirect("batches:steps", id=made.pk)
    documents = Document.objects.listed().filter(status=Document.Status.READY)[:LISTED]
    context = {"documents": documents, "chosen": chosen, "faults": faults}
    return render(request, "knowledge/batch.html", context, status=422 if faults else 200)


def sheet_of(documents: Iterable[Document]) -> Sheet:
    """A row for each, in their order. Raises BadFile, naming documents that no row has room for."""
    found = list(documents)
    flaws = [
        Flaw(
            f"“{document.title}” has {len(document.text):,} characters, and {MOST_CELL_CHARS:,} is the most.",
            "Leave it out, or upload its parts as documents of their own.",
        )
        for document in found
        if len(document.text) > MOST_CELL_CHARS
    ]
    if not found:
        flaws = [Flaw("no document is chosen.", "Choose at least one that is read.")]
    if len(found) > MOST_ROWS:
        flaws = [Flaw(f"there are more than {MOST_ROWS:,} documents.", "Make several batches of them.")]
    if flaws:
        raise BadFile.of(flaws)
    return Sheet(COLUMNS, rows_of(found))


def rows_of(documents: Iterable[Document]) -> Iterator[dict[str, str]]:
    for document in documents:
        yield {"title": document.title, "text": document.text}


def as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
