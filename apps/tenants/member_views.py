"""The members of a workspace and its invitations; and, outside of it, the page that an invitation's link opens."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.paginator import Page, Paginator
from django.db.models import Case, Q, When
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
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
BY_RANK = Case(*(When(role=role, then=rank) for rank, role in enumerate(Role)))
PAGE = 50
QUERY_CHARS = 254


class InviteForm(forms.Form):
    email = forms.EmailField(max_length=254)
    role = forms.ChoiceField(choices=Role)


def page_of(q: str, number: str | None) -> Page[Membership]:
    """Members whose name or address holds `q`, owners first. A number past the end gives the last page."""
    people = Membership.objects.select_related("user").order_by(BY_RANK, "user__email")
    if q:
        people = people.filter(Q(user__name__icontains=q) | Q(user__email__icontains=q))
    return Paginator(people, PAGE).get_page(number)


def here(request: WorkspaceRequest) -> str:
    """The query string of what the page shows. Each change is sent with it, and answered by the same page."""
    asked = {name: request.GET[name] for name in ("q", "page") if request.GET.get(name)}
    return f"?{urlencode(asked)}" if asked else ""


def show(
    request: WorkspaceRequest, *, status: int = 200, changed: Membership | None = None, **more: Any
) -> HttpResponse:
    """The page as it is now; for htmx the part of it that changes. Says where `changed` is when not on this page."""
    mine = Membership.objects.filter(user=request.user).first()
    if mine is None:
        raise Http404("Their membership has just ended.")
    request.membership = mine  # what they may do has perhaps just changed
    q = request.GET.get("q", "").replace("\0", "").strip()[:QUERY_CHARS]
    page = page_of(q, request.GET.get("page"))
    people: list[Any] = list(page)
    for each in people:
        each.may_change = each != mine and rules.may_give(mine, each.role)
    form = more.get("invite_form")
    context = {
        "people": people,
        "invite_role": form["role"].value() if form else Role.MEMBER,
        "page_obj": page,
        "q": q,
        "here": here(request),
        "moved": changed if changed not in people else None,
        "roles": [role for role in Role if rules.may_give(mine, role)],
        "invitations": invitations.waiting() if rules.may_give(mine, Role.VIEWER) else [],
        "table_of_roles": [
            (permission, [role in ROLES_ALLOWED[permission] for role in Role]) for permission in Permission
        ],
        "all_roles": ROLES,
        **more,
    }
    template = "tenants/_members.html" if request.htmx else "tenants/members.html"
    return render(request, template, context, status=status)


def back(request: WorkspaceRequest) -> HttpResponse:
    return redirect(reverse("workspace:members") + here(request))


def done(request: WorkspaceRequest, *, changed: Membership | None = None) -> HttpResponse:
    return show(request, changed=changed) if request.htmx else back(request)


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
    try:
        invitation, link = invitations.invite(form.cleaned_data["email"], role, request.membership)
    except Refused as refusal:
        return show(request, status=refusal.status, refusal=str(refusal), invite_form=form)
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
    membership = get_object_or_404(Membership.objects.select_related("user"), pk=id)
    if request.POST.get("role") not in ROLES:
        raise Refused("There is no such role. Choose one of the list.")
    role = Role(request.POST["role"])
    rules.change_role(membership, role, request.membership)
    if membership == request.membership and request.htmx:
        return HttpResponseClientRefresh()  # the rest of the page shows it too
    membership.role = role
    return done(request, changed=membership)


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
    return back(request)


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
