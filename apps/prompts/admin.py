from django.contrib import admin

from apps.tenants.platform import AcrossTenants

from .models import PromptVersion


@admin.register(PromptVersion)
class PromptVersionAdmin(AcrossTenants):
    list_display = ("prompt", "tenant", "number", "is_live", "message", "created_at")
    list_filter = ("is_live",)
    search_fields = ("prompt__name", "message")
    list_select_related = ("prompt", "tenant")
    ordering = ("prompt__name", "-number")
