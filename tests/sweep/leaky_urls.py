"""Pages that leak, each in another way, for the test that the sweep notices."""

from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path

from apps.knowledge.models import Document
from apps.tenants.context import tenant_id_context
from apps.tenants.permissions import Permission, needs
from config import workspace_urls


def anybodys(id: UUID) -> Document:
    return Document.unscoped.using("platform").get(pk=id)


def pretending(request: HttpRequest, said: str = "") -> HttpResponse:
    """It is found by its own people, and says to others that it isn't."""
    return HttpResponse(said, status=200 if request.workspace.slug == "acme" else 404)


@needs(Permission.READ)
def shows(request: HttpRequest, id: UUID) -> HttpResponse:
    return pretending(request, anybodys(id).title)


@needs(Permission.READ)
def redirects(request: HttpRequest, id: UUID) -> HttpResponse:
    return HttpResponseRedirect(f"/?title={anybodys(id).title}")


@needs(Permission.READ)
def sets_cookie(request: HttpRequest, id: UUID) -> HttpResponse:
    response = pretending(request)
    response.set_cookie("last", anybodys(id).title)
    return response


@needs(Permission.READ)
def tells_whose(request: HttpRequest, id: UUID) -> HttpResponse:
    return pretending(request, str(anybodys(id).tenant_id))


@needs(Permission.READ)
def changes(request: HttpRequest, id: UUID) -> HttpResponse:
    with tenant_id_context(anybodys(id).tenant_id):
        Document.objects.filter(pk=id).update(title="changed")
    return pretending(request)


@needs(Permission.READ)
def answers(request: HttpRequest, id: UUID) -> HttpResponse:
    return HttpResponse("found" if anybodys(id) else "")


@needs(Permission.READ)
def reads_field(request: HttpRequest) -> HttpResponse:
    named = request.GET.get("document") or request.POST.get("document")
    return HttpResponse(anybodys(UUID(named)).title if named else "")


@needs(Permission.READ)
def is_never_found(request: HttpRequest, shelf: str, book: str) -> HttpResponse:
    raise Http404


def unmarked(request: HttpRequest) -> HttpResponse:
    return HttpResponse("")


BY_ADDRESS = [shows, redirects, sets_cookie, tells_whose, changes, answers]

urlpatterns = [
    *(path(f"documents/<uuid:id>/{view.__name__}/", view, name=view.__name__) for view in BY_ADDRESS),
    path("reads_field/", reads_field, name="reads_field"),
    path("unmarked/", unmarked, name="unmarked"),
    path("shelves/<str:shelf>/<slug:book>/", is_never_found, name="is_never_found"),
    *workspace_urls.urlpatterns,
]
