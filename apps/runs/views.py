from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.tenants.http import WorkspaceRequest
from apps.tenants.permissions import Permission, needs

from .models import Run

PAGE = 50


@require_GET
@needs(Permission.READ)
def runs(request: WorkspaceRequest) -> HttpResponse:
    """Every call of a model: all of the workspace's for owners and admins, one's own for others."""
    found = Run.objects.visible_to(request.membership).select_related("user").order_by("-created_at")
    page = Paginator(found, PAGE).get_page(request.GET.get("page"))
    return render(request, "runs/runs.html", {"runs": page.object_list, "page_obj": page})
