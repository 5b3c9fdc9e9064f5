from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from .forms import WorkspaceForm
from .http import SignedInRequest
from .models import Membership, Tenant
from .templatetags.workspace import workspace_url


def landing(request: HttpRequest) -> HttpResponse:
    return render(request, "tenants/landing.html")


@login_required
def workspaces(request: SignedInRequest) -> HttpResponse:
    """The switcher; who has just one workspace is taken there."""
    memberships = list(Membership.unscoped.of(request.user).exclude(tenant__status=Tenant.Status.LEAVING))
    if len(memberships) == 1 and "all" not in request.GET:
        return redirect(workspace_url(memberships[0].tenant, "chat:home"))
    return render(request, "tenants/workspaces.html")


@login_required
def create(request: SignedInRequest) -> HttpResponse:
    form = WorkspaceForm(request.POST or None)
    if request.method == "POST" and form.is_valid() and (workspace := form.create(request.user)):
        return redirect(workspace_url(workspace, "chat:home"))
    return render(request, "tenants/create_workspace.html", {"form": form})
