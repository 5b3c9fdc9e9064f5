from typing import Any

from django.contrib import admin
from unfold.admin import ModelAdmin

from apps.tenants.platform import AcrossTenants

from .models import ModelPrice, Run


@admin.display(description="Cost", ordering="cost_usd")
def cost(run: Run) -> str:
    if run.cost_usd is None:
        return "" if run.status == Run.Status.RUNNING else "no price"
    return f"${run.cost_usd:f}"


@admin.register(Run)
class RunAdmin(AcrossTenants):
    list_display = (
        "created_at",
        "tenant",
        "user",
        "feature",
        "provider",
        "model",
        "input_tokens",
        "output_tokens",
        cost,
        "latency_ms",
        "status",
        "error_code",
    )
    list_filter = ("status", "kind", "feature", "provider", "model")
    list_select_related = ("tenant", "user")
    search_fields = ("tenant__name", "tenant__slug", "user__email", "request_id")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    list_per_page = 50


@admin.register(ModelPrice)
class ModelPriceAdmin(ModelAdmin):
    list_display = (
        "provider",
        "model",
        "valid_from",
        "valid_to",
        "min_input_tokens",
        "input_usd",
        "output_usd",
        "source",
    )
    list_filter = ("provider",)
    search_fields = ("model",)
    ordering = ("provider", "model", "-valid_from")

    def get_changeform_initial_data(self, request: Any) -> dict[str, Any]:
        return {"source": "entered by hand"}
