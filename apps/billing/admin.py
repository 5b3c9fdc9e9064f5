"""What operators see of money: who has bought what, what Stripe told us and was told."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from apps.tenants.platform import AcrossTenants, require_platform

from . import webhooks
from .models import MeterEvent, StripeEvent, Subscription
from .tasks import process_stripe_events


@admin.register(Subscription)
class SubscriptionAdmin(AcrossTenants):
    list_display = ("tenant", "plan", "generation", "status", "seats", "period_end", "next_plan", "past_due_since")
    list_filter = ("status", "plan", "generation")
    list_select_related = ("tenant",)
    search_fields = ("tenant__name", "tenant__slug", "stripe_customer_id", "stripe_subscription_id")
    ordering = ("tenant__name",)


@admin.register(MeterEvent)
class MeterEventAdmin(AcrossTenants):
    list_display = ("hour", "tenant", "meter", "value", "cost_usd", "status", "attempts", "sent_at", "last_error")
    list_filter = ("status", "meter")
    list_select_related = ("tenant",)
    search_fields = ("tenant__name", "tenant__slug", "identifier", "stripe_customer_id")
    date_hierarchy = "hour"
    ordering = ("-hour", "tenant")
    list_per_page = 50


@admin.display(description="State")
def state(event: StripeEvent) -> str:
    if event.processed_at:
        return "done"
    if event.attempts >= webhooks.MOST_ATTEMPTS:
        return "given up"
    return f"tried {event.attempts} times" if event.attempts else "waits"


@admin.register(StripeEvent)
class StripeEventAdmin(ModelAdmin):
    """Every webhook event as it came; those that are chosen can be processed again."""

    list_display = ("received_at", "type", "id", "workspace", state, "error")
    list_filter = ("type", ("processed_at", admin.EmptyFieldListFilter))
    search_fields = ("id", "type", "workspace")
    date_hierarchy = "received_at"
    ordering = ("-received_at",)
    list_per_page = 50
    actions = ("replay",)

    def get_queryset(self, request: Any) -> QuerySet[StripeEvent]:
        return StripeEvent.objects.using(require_platform())

    def get_fields(self, request: Any, obj: Any = None) -> list[str]:
        return [field.name for field in StripeEvent._meta.fields]

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("billing.change_stripeevent")

    @admin.action(description="Process again", permissions=["replay"])
    def replay(self, request: HttpRequest, events: QuerySet[StripeEvent]) -> None:
        count = webhooks.replay(list(events.values_list("pk", flat=True)))
        process_stripe_events.delay()
        messages.success(request, f"{count} events are processed again, in a moment.")
