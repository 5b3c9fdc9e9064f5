"""The models of each tier, and a page on which a request is tried without being sent."""

from typing import Any, Literal
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from apps.tenants.http import WorkspaceRequest
from apps.tenants.permissions import Permission, needs

from . import configuration, routes
from .model_settings import show
from .route_forms import RouteForm, TryForm
from .try_route import picture


@require_http_methods(["GET", "POST"])
@needs(Permission.CHANGE_SETTINGS)
def try_route(request: WorkspaceRequest) -> HttpResponse:
    """Which model a request would take and why. Asks none, reserves nothing and leaves no run."""
    data = request.POST if request.method == "POST" else None
    form = TryForm(data, passages=request.workspace.passages_per_answer)
    context: dict[str, Any] = {"form": form}
    if request.method == "POST" and form.is_valid():
        context["picture"] = picture(
            form.request(),
            feature=form.cleaned_data["feature"],
            known=configuration.fresh(),
            forced=form.forced(),
        )
    return render(request, "runs/try_route.html", context)


@require_POST
@needs(Permission.CHANGE_SETTINGS)
def add_route(request: WorkspaceRequest) -> HttpResponse:
    form = RouteForm(request.POST, known=configuration.fresh())
    if form.is_valid() and (route := form.add()):
        messages.success(request, f"{routes.name(route)} is one of the {route.tier} models now.")
        return redirect("model-settings")
    return show(request, route_form=form)


@require_POST
@needs(Permission.CHANGE_SETTINGS)
def move_route(request: WorkspaceRequest, id: UUID, by: Literal[-1, 1]) -> HttpResponse:
    routes.move(get_object_or_404(routes.own(), pk=id), by=by)
    return redirect("model-settings")


@require_POST
@needs(Permission.CHANGE_SETTINGS)
def remove_route(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    route = get_object_or_404(routes.own(), pk=id)
    routes.remove(route)
    messages.success(request, f"{routes.name(route)} is no longer one of the {route.tier} models.")
    return redirect("model-settings")
