from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.tenants.http import WorkspaceRequest
from apps.tenants.permissions import Permission, needs

from .models import Run
from .noticed import explained

PAGE = 50


@require_GET
@needs(Permission.READ)
def runs(request: WorkspaceRequest) -> HttpResponse:
    """Every call of a model: all of the workspace's for owners and admins, one's own for others.

    ?flagged=1: those alone that the guard noticed something about.
    """
    found = Run.objects.visible_to(request.membership).select_related("user").order_by("-created_at")
    is_flagged = request.GET.get("flagged") == "1"
    if is_flagged:
        found = found.exclude(flags=[])
    page = Paginator(found, PAGE).get_page(request.GET.get("page"))
    listed = list(page.object_list)
    noticed = explained([flag for run in listed for flag in run.flags])
    context = {"runs": listed, "page_obj": page, "is_flagged": is_flagged, "noticed": noticed}
    return render(request, "runs/runs.html", context)
