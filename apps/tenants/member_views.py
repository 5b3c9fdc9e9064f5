"""The members of a workspace and its invitations; and, outside of it, the page that an invitation's link opens."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRefresh

from . import invitations
from . import members as rules
from .http import SignedInRequest, WorkspaceRequest
from .members import Refused
from .models import Invitation, Membership
from .permissions import ROLES_ALLOWED, Permission, needs
from .templatetags.workspace import hub_url, workspace_url

Role = Membership.Role
ROLES = list(Role)


class InviteForm(forms.Form):
    email = forms.EmailField(max_length=254)
    role = forms.ChoiceField(choices=Role)


def show(request: WorkspaceRequest, *, status: int = 200, **more: Any) -> HttpResponse:
    """The page as it is now; for htmx the part of it that changes."""
    people = list(Membership.objects.select_related("user"))
    people.sort(key=lambda each: (ROLES.index(each.role), each.user.email))
    mine = next((each for each in people if each.user_id == request.user.id), None)
    if mine is None:
        raise Http404("Their membership has just ended.")
    request.membership = mine  # what they may do has perhaps just changed
    for each in people:
        each.may_change = each != mine and rules.may_give(mine, each.role)
    context = {
        "people": people,
        "roles": [role for role in Role if rules.may_give(mine, role)],
        "invitations": invitations.waiting() if rules.may_give(mine, Role.VIEWER) else [],
        "table_of_roles": [
            (permission, [role in ROLES_ALLOWED[permission] for role in Role]) for permission in Permission
        ],
        "all_roles": ROLES,
        **more,
    }
    page = "tenants/_members.html" if request.htmx else "tenants/members.html"
    return render(request, page, context, status=status)


def done(request: WorkspaceRequest) -> HttpResponse:
    return show(request) if request.htmx else redirect("workspace:members")


def showing_refusals(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    @wraps(view)
    def told(request: WorkspaceRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except Refused as refusal:
            return show(request, status=refusal.status, refusal=str(refusal))

    return told


@require_GET
@needs(Permission.READ)
def members(request: WorkspaceRequest) -> HttpResponse:
    return show(request)


@require_POST
@needs(Permission.MANAGE_MEMBERS)
@showing_refusals
def invite(request: WorkspaceRequest) -> HttpResponse:
    form = InviteForm(request.POST)
    if not form.is_valid():
        return show(request, status=422, refusal="Write a whole e-mail address, and choose a role.", invite_form=form)
    role = Role(form.cleaned_data["role"])
    invitation, link = invitations.invite(form.cleaned_data["email"], role, request.membership)
    was_mailed = invitations.send(invitation, link)
    return show(request, invited=invitation, link=link, was_mailed=was_mailed)


@require_POST
@needs(Permission.MANAGE_MEMBERS)
@showing_refusals
def revoke_invitation(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    invitations.revoke(get_object_or_404(Invitation.objects, pk=id), request.membership)
    return done(request)


@require_POST
@needs(Permission.MANAGE_MEMBERS)
@showing_refusals
def change_role(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    membership = get_object_or_404(Membership.objects, pk=id)
    if request.POST.get("role") not in ROLES:
        raise Refused("There is no such role. Choose one of the list.")
    rules.change_role(membership, Role(request.POST["role"]), request.membership)
    if membership == request.membership and request.htmx:
        return HttpResponseClientRefresh()  # the rest of the page shows it too
    return done(request)


@require_POST
@needs(Permission.MANAGE_MEMBERS)
@showing_refusals
def remove(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    rules.remove(get_object_or_404(Membership.objects, pk=id), request.membership)
    return done(request)


@require_POST
@needs(Permission.MANAGE_OWNERS)
@showing_refusals
def transfer(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    to = get_object_or_404(Membership.objects.select_related("user"), pk=id)
    rules.transfer_ownership(to, request.membership)
    messages.success(request, f"{to.user} owns {request.workspace} now, and you are an admin.")
    return redirect("workspace:members")


@require_POST
@needs(Permission.LEAVE)
@showing_refusals
def leave(request: WorkspaceRequest) -> HttpResponse:
    rules.leave(request.membership)
    messages.success(request, f"You have left {request.workspace}.")
    return redirect(hub_url("workspaces"))


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: SignedInRequest, token: str) -> HttpResponse:
    """Who invites into what, as which role; posting accepts. Looking changes nothing."""
    user = request.user if request.user.is_authenticated else None
    found = None
    try:
        found = invitations.find(token)
        if request.method == "POST" and user is None:
            return redirect_to_login(request.get_full_path())
        if request.method == "POST":
            membership = invitations.accept(token, user)
            return redirect(workspace_url(membership.tenant, "chat:home"))
        invitations.require_open(found)
        if user:
            invitations.require_theirs(found, user)
    except Refused as refusal:
        context = {
            "refusal": str(refusal),
            "is_wrong_address": isinstance(refusal, invitations.WrongAddress),
            "invitation": found,
        }
        return render(request, "tenants/invitation_refused.html", context, status=refusal.status)
    return render(request, "tenants/invitation.html", {"invitation": found})
