"""The API keys of a workspace, as owners and admins make and revoke them: a section of its settings."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from apps.tenants import api_keys
from apps.tenants.http import WorkspaceRequest
from apps.tenants.members import Refused
from apps.tenants.models import ApiKey
from apps.tenants.permissions import Permission, needs

from .models import Run

CLOSED_SHOWN = 20  # of those revoked or expired, the newest


class KeyForm(forms.Form):
    name = forms.CharField(
        max_length=80,
        help_text="The program that uses it, so that you know which one stops when you revoke it.",
        error_messages={"required": "Write which program uses it."},
    )
    last_day = forms.DateField(
        label="Last day",
        required=False,
        widget=forms.DateInput({"type": "date"}),
        help_text="In UTC. Leave it empty for a key that doesn’t expire.",
    )

    def clean_last_day(self) -> date | None:
        day: date | None = self.cleaned_data["last_day"]
        if day and day < datetime.now(UTC).date():
            raise forms.ValidationError("That day is over. Choose a later one.")
        return day

    @property
    def expires_at(self) -> datetime | None:
        """The end of its last day."""
        day = self.cleaned_data["last_day"]
        return datetime.combine(day, time(), UTC) + timedelta(days=1) if day else None


@never_cache
@require_http_methods(["GET", "POST"])
@needs(Permission.MANAGE_KEYS)
def keys(request: WorkspaceRequest) -> HttpResponse:
    """A new key's token is in the answer to the form, this once."""
    form = KeyForm(request.POST if request.method == "POST" else None)
    made: ApiKey | None = None
    token = ""
    if request.method == "POST" and form.is_valid():
        try:
            made, token = api_keys.make(form.cleaned_data["name"], request.user, expires_at=form.expires_at)
        except Refused as refusal:
            form.add_error(None, str(refusal))
        else:
            form = KeyForm()
    status = 422 if form.errors else 200
    return render(
        request, "runs/api_keys.html", {"form": form, "made": made, "token": token, **shown(request)}, status=status
    )


def shown(request: WorkspaceRequest) -> dict[str, Any]:
    used = Run.objects.filter(api_key_id=OuterRef("pk")).order_by("-created_at").values("created_at")[:1]
    every = ApiKey.objects.annotate(used_at=Subquery(used)).select_related("created_by").order_by("-created_at")
    counted: QuerySet[Any] = api_keys.open_keys()
    return {
        "open_keys": every.filter(pk__in=counted),
        "closed_keys": every.exclude(pk__in=counted)[:CLOSED_SHOWN],
        "base_url": request.build_absolute_uri(reverse("api:models")).removesuffix("/models"),
    }


@require_POST
@needs(Permission.MANAGE_KEYS)
def revoke(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    key = get_object_or_404(ApiKey.objects, pk=id)
    api_keys.revoke(key)
    messages.success(request, f"The key {key.name} is revoked.")
    return redirect("api-keys:list")
