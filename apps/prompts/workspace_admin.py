from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet

from apps.tenants.context import require_tenant_id
from apps.tenants.workspace_admin import OfWorkspace

from .models import PromptVersion


class PromptAdmin(OfWorkspace):
    list_display = ("name", "feature", "description")
    search_fields = ("name", "description")
    ordering = ("name",)
    fields = ("name", "feature", "description")


class PromptVersionAdmin(OfWorkspace):
    """The workspace's own versions, and the defaults that count where it has none."""

    list_display = ("prompt", "number", "whose", "is_live", "created_at")
    list_filter = ("is_live",)
    list_select_related = ("prompt",)
    search_fields = ("prompt__name", "body")
    ordering = ("prompt__name", "-number")
    fields = (("prompt", "number"), ("whose", "is_live"), "created_at", "body")

    def get_queryset(self, request: Any) -> QuerySet[PromptVersion]:
        return PromptVersion.unscoped.filter(Q(tenant_id=require_tenant_id()) | Q(tenant_id=None))

    @admin.display(description="Whose", ordering="tenant_id")
    def whose(self, version: PromptVersion) -> str:
        return "this workspace’s" if version.tenant_id else "the default"
