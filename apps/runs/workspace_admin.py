from unfold.decorators import display

from apps.tenants.permissions import Permission
from apps.tenants.workspace_admin import MemberFilter, OfWorkspace

from .admin import cost
from .models import Run

COLOURS = {"ok": "success", "running": "info", "refused": "danger", "failed": "danger", "lost": "danger"}


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
    list_filter = ("status", "kind", "feature", "provider", "model", MemberFilter)
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
        "attempts",
    )
    readonly_fields = (cost,)

    @display(description="Status", ordering="status", label=COLOURS)
    def state(self, run: Run) -> tuple[str, str]:
        return run.status, run.get_status_display()
