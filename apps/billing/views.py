from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.runs import gauges
from apps.runs.gauges import Gauge
from apps.runs.models import Run
from apps.tenants.http import WorkspaceRequest
from apps.tenants.permissions import Permission, allowed, needs

from .economics import this_month


@require_GET
@needs(Permission.READ)
def usage(request: WorkspaceRequest) -> HttpResponse:
    """This month: all of the workspace's for owners and admins, one's own for others."""
    used = this_month(Run.objects.visible_to(request.membership))
    sums = {name: getattr(used, name) for name in used.__slots__}
    return render(request, "billing/usage.html", {**sums, **budgets(request)})


def budgets(request: WorkspaceRequest) -> dict[str, list[Gauge]]:
    """One's own for everybody; the workspace's for who sets them."""
    own, workspaces = gauges.of(request.user), []
    if allowed(request.membership, Permission.MANAGE_BUDGETS):
        workspaces = gauges.of_workspace()
    return {"own_gauges": own, "workspace_gauges": workspaces}
