from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from unfold.admin import ModelAdmin

from apps.tenants.platform import AcrossTenants, require_platform

from .budget_admin import EveryBudgetAdmin  # noqa: F401  (registers itself)
from .models import ModelPrice, ModelRoute, Policy, Run
from .route_forms import CheckedRouteForm


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
        "processing",
        "valid_from",
        "valid_to",
        "min_input_tokens",
        "input_usd",
        "output_usd",
        "source",
    )
    list_filter = ("provider", "processing")
    search_fields = ("model",)
    ordering = ("provider", "model", "-valid_from")

    def get_changeform_initial_data(self, request: Any) -> dict[str, Any]:
        return {"source": "entered by hand"}


@admin.register(ModelRoute)
class EveryRouteAdmin(ModelAdmin):
    """What tiers are made of: everybody's routes are set here, those of one workspace are its own to set."""

    form = CheckedRouteForm
    list_display = ("tier", "position", "provider", "model", "context_tokens", "is_on", "whose")
    list_filter = ("tier", "provider", "is_on")
    list_select_related = ("tenant",)
    search_fields = ("model", "tenant__name", "tenant__slug")
    ordering = ("tenant__name", "tier", "position")
    actions = None

    def get_queryset(self, request: Any) -> QuerySet[ModelRoute]:
        return ModelRoute.unscoped.using(require_platform())

    def get_form(self, request: Any, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        form.alias = require_platform()
        return form

    @admin.display(description="For", ordering="tenant__name")
    def whose(self, route: ModelRoute) -> str:
        return route.tenant.name if route.tenant else "everybody"

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return (obj is None or obj.tenant_id is None) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return (obj is None or obj.tenant_id is None) and super().has_delete_permission(request, obj)

    def save_model(self, request: Any, obj: ModelRoute, form: Any, change: bool) -> None:
        obj.save(using=require_platform())

    def delete_model(self, request: Any, obj: ModelRoute) -> None:
        obj.delete(using=require_platform())


@admin.register(Policy)
class EveryPolicyAdmin(AcrossTenants):
    """How workspaces have their models called, where they set anything."""

    list_display = ("tenant", "routing", "forced_tier", "cascade_threshold", "on_break", "cache_is_on", "moderates")
    list_filter = ("routing", "on_break", "cache_is_on", "moderates")
    list_select_related = ("tenant",)
    search_fields = ("tenant__name", "tenant__slug")
    ordering = ("tenant__name",)
