from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.runs.models import Run
from apps.tenants.http import WorkspaceRequest
from apps.tenants.permissions import Permission, needs

from .economics import this_month


@require_GET
@needs(Permission.READ)
def usage(request: WorkspaceRequest) -> HttpResponse:
    """This month: all of the workspace's for owners and admins, one's own for others."""
    used = this_month(Run.objects.visible_to(request.membership))
    return render(request, "billing/usage.html", {name: getattr(used, name) for name in used.__slots__})
