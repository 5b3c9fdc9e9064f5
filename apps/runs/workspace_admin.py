from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from unfold.decorators import display

from apps.tenants.permissions import Permission, allowed
from apps.tenants.workspace_admin import MemberFilter, OfWorkspace

from . import configuration, policies, routes
from .admin import cost
from .models import ModelRoute, Policy, Run
from .noticed import MEANINGS
from .route_forms import CheckedRouteForm

COLOURS = {"ok": "success", "running": "info", "refused": "danger", "failed": "danger", "lost": "danger"}


class FlagFilter(admin.SimpleListFilter):
    """By what the guard noticed."""

    title = "what was noticed"
    parameter_name = "flagged"

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        return [("any", "Anything"), *((flag, label) for flag, (label, _) in MEANINGS.items())]

    def queryset(self, request: Any, queryset: QuerySet[Run]) -> QuerySet[Run]:
        if self.value() is None:
            return queryset
        return queryset.exclude(flags=[]) if self.value() == "any" else queryset.filter(flags__contains=[self.value()])


class RunAdmin(OfWorkspace):
    permission = Permission.SEE_ALL_RUNS
    list_display = (
        "created_at",
        "user",
        "feature",
        "model",
        "input_tokens",
        "output_tokens",
        cost,
        "latency_ms",
        "state",
    )
    list_filter = ("status", FlagFilter, "kind", "feature", "provider", "model", MemberFilter)
    list_select_related = ("user",)
    search_fields = ("user__email", "feature", "model", "error_code", "request_id")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    fields = (
        ("created_at", "finished_at"),
        ("user", "feature"),
        ("status", "error_code"),
        ("provider", "model"),
        ("provider_answered", "model_answered"),
        ("kind", "prompt_version"),
        ("input_tokens", "output_tokens"),
        ("cached_tokens", "cache_write_tokens"),
        ("reasoning_tokens", "is_estimated"),
        ("latency_ms", "ttft_ms"),
        (cost, "request_id"),
        "flags",
        "attempts",
    )
    readonly_fields = (cost,)

    @display(description="Status", ordering="status", label=COLOURS)
    def state(self, run: Run) -> tuple[str, str]:
        return run.status, run.get_status_display()


class Changeable(OfWorkspace):
    """Rows that owners and admins may change here too; they are made and removed in the settings.

    Its log is the workspace's: Django's own is the platform's.
    """

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        is_own = obj is None or obj.tenant_id == request.workspace.pk
        return is_own and allowed(request.membership, self.permission)

    def log_change(self, request: Any, obj: Any, message: Any) -> None:
        """Done where it is saved."""


class RouteAdmin(Changeable):
    """The workspace's own routes, and everybody's, which count for a tier where it has none."""

    form = CheckedRouteForm
    list_display = ("tier", "position", "model", "provider", "context_tokens", "is_on", "whose")
    list_filter = ("tier", "is_on")
    search_fields = ("model", "provider")
    ordering = ("tier", "position")
    fields = ("tier", "position", "provider", "model", "context_tokens", "is_on")

    def get_queryset(self, request: Any) -> QuerySet[ModelRoute]:
        return ModelRoute.unscoped.filter(Q(tenant_id=request.workspace.pk) | Q(tenant_id=None))

    def get_form(self, request: Any, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        form.known = configuration.fresh()
        return form

    @admin.display(description="Whose", ordering="tenant_id")
    def whose(self, route: ModelRoute) -> str:
        return "this workspace’s" if route.tenant_id else "everybody’s"

    def save_model(self, request: Any, obj: ModelRoute, form: Any, change: bool) -> None:
        routes.change(obj, **{name: form.cleaned_data[name] for name in form.changed_data})


class PolicyAdmin(Changeable):
    list_display = ("routing", "forced_tier", "cascade_threshold", "on_break", "cache_is_on", "moderates")
    ordering = ("id",)
    fields = (
        ("routing", "forced_tier"),
        ("cascade_threshold", "on_break"),
        ("cache_is_on", "cache_threshold", "cache_hours"),
        ("on_injection", "on_moderation", "moderates"),
        "max_input_chars",
    )

    def save_model(self, request: Any, obj: Policy, form: Any, change: bool) -> None:
        policies.change(**{name: form.cleaned_data[name] for name in form.changed_data})
