"""What owners and admins settle about their workspace, a section a page. Models have theirs in `apps.runs`."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from . import domains
from .change import change
from .doors import COME_BACK, close_doors
from .forms import AddressForm, DomainForm, SecurityForm, WorkspaceNameForm
from .hosts import current_domain, served_at
from .http import WorkspaceRequest
from .models import Domain
from .permissions import Permission, needs
from .second_factor import has_second_factor
from .signup import SlugTaken
from .templatetags.workspace import workspace_url


@require_http_methods(["GET", "POST"])
@needs(Permission.CHANGE_SETTINGS)
def general(request: WorkspaceRequest) -> HttpResponse:
    form = WorkspaceNameForm(sent(request), initial={"name": request.workspace.name})
    if request.method == "POST" and form.is_valid():
        change(request.workspace, name=form.cleaned_data["name"])
        messages.success(request, "The name is saved.")
        return redirect("workspace:settings")
    return show_general(request, name_form=form)


@require_POST
@needs(Permission.CHANGE_SETTINGS)
def address(request: WorkspaceRequest) -> HttpResponse:
    """Moves the workspace's URLs. The address before is free for anybody at once."""
    form = AddressForm(request.POST)
    if form.is_valid():
        slug = form.cleaned_data["slug"]
        try:
            workspace = change(request.workspace, slug=slug)
        except SlugTaken as taken:
            form.add_error("slug", str(taken))
        else:
            messages.success(request, f"The workspace’s address is /t/{slug}/ now.")
            return redirect(workspace_url(workspace, "workspace:settings"))
    return show_general(request, address_form=form)


def sent(request: WorkspaceRequest) -> QueryDict | None:
    """What a form was sent with: an unchecked box alone sends nothing."""
    return request.POST if request.method == "POST" else None


def show_general(request: WorkspaceRequest, **forms: Any) -> HttpResponse:
    workspace = request.workspace
    context = {
        "name_form": WorkspaceNameForm(initial={"name": workspace.name}),
        "address_form": AddressForm(initial={"slug": workspace.slug}),
        "public_url": settings.PUBLIC_URL,
        **forms,
    }
    return render(request, "tenants/settings_general.html", context)


@require_http_methods(["GET", "POST"])
@needs(Permission.CHANGE_SETTINGS)
def security(request: WorkspaceRequest) -> HttpResponse:
    form = SecurityForm(sent(request), initial={"mfa_required": request.workspace.mfa_required})
    has_one = has_second_factor(request)
    if request.method == "POST" and form.is_valid():
        if form.cleaned_data["mfa_required"] and not has_one:
            form.add_error("mfa_required", "Sign in with a second factor of your own first: this would shut you out.")
        else:
            change(request.workspace, **form.cleaned_data)
            close_doors(request.workspace.id, code=COME_BACK)  # who shows no second factor isn't let in again
            messages.success(request, "That is saved.")
            return redirect("workspace:security")
    return render(request, "tenants/settings_security.html", {"form": form, "has_second_factor": has_one})


@require_GET
@needs(Permission.CHANGE_SETTINGS)
def domain_list(request: WorkspaceRequest) -> HttpResponse:
    return show_domains(request, DomainForm())


@require_POST
@needs(Permission.CHANGE_SETTINGS)
def add_domain(request: WorkspaceRequest) -> HttpResponse:
    form = DomainForm(request.POST)
    if form.is_valid():
        try:
            domains.claim(form.cleaned_data["domain"])
        except domains.Refused as refusal:
            form.add_error("domain", str(refusal))
        else:
            return redirect("workspace:domains")
    return show_domains(request, form)


@require_POST
@needs(Permission.CHANGE_SETTINGS)
def check_domain(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    domains.check(get_object_or_404(Domain.objects, pk=id))
    return redirect("workspace:domains")


@require_POST
@needs(Permission.CHANGE_SETTINGS)
def remove_domain(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    domain = get_object_or_404(Domain.objects, pk=id)
    is_this_one = current_domain() == domain
    domains.remove(domain)
    messages.success(request, f"{domain} is removed.")
    if is_this_one:
        with served_at(None):
            return redirect(settings.PUBLIC_URL + workspace_url(request.workspace, "workspace:domains"))
    return redirect("workspace:domains")


def show_domains(request: WorkspaceRequest, form: DomainForm) -> HttpResponse:
    rows = [
        {"domain": domain, "record_name": domains.record_name(domain), "record_value": domains.record_value(domain)}
        for domain in Domain.objects.order_by("created_at")
    ]
    context = {"form": form, "rows": rows, "public": domains.public_host(), "scheme": request.scheme}
    return render(request, "tenants/settings_domains.html", context)
