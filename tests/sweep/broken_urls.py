"""A workspace's pages, and some that break with its data in hand."""

from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path

from apps.knowledge.models import Document
from apps.tenants.permissions import Permission, needs
from config import workspace_urls

ERRORS = {
    "404": Http404,
    "403": PermissionDenied,
    "400": BadRequest,
    "suspicious": SuspiciousOperation,
    "500": RuntimeError,
}


@needs(Permission.READ)
def broken(request: HttpRequest, how: str) -> HttpResponse:
    """Breaks as `how` says, its variables full of a document's text."""
    document = Document.objects.first()
    secret = {"text": document.text, "title": document.title, "posted": dict(request.POST)}
    if how == "database":
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 / length(left(%s, 0))", [secret["text"]])
    if error := ERRORS.get(how):
        raise error("It broke.")
    return HttpResponse("ok")


urlpatterns = [path("broken/<str:how>/", broken), *workspace_urls.urlpatterns]
