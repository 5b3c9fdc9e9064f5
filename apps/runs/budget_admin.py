"""Budgets to be read: a workspace's in its own admin, everybody's in the platform's. They are set in the settings."""

from django.contrib import admin

from apps.tenants.permissions import Permission
from apps.tenants.platform import AcrossTenants
from apps.tenants.workspace_admin import OfWorkspace

from . import gauges
from .models import Budget

COLUMNS = ("scope", "subject", "period", "cap_usd", "soft_percent", "soft_action", "is_hard", "created_at")


@admin.register(Budget)
class EveryBudgetAdmin(AcrossTenants):
    list_display = ("tenant", *COLUMNS)
    list_filter = ("scope", "period", "is_hard", "soft_action")
    list_select_related = ("tenant",)
    search_fields = ("tenant__name", "tenant__slug", "subject")
    ordering = ("tenant__name", "scope", "period")


class BudgetAdmin(OfWorkspace):
    permission = Permission.MANAGE_BUDGETS
    list_display = ("scope", "whose", *COLUMNS[2:])
    list_filter = ("scope", "period", "is_hard", "soft_action")
    ordering = ("scope", "period")
    fields = ("scope", "whose", *COLUMNS[2:])
    readonly_fields = ("whose",)

    @admin.display(description="Whose calls", ordering="subject")
    def whose(self, budget: Budget) -> str:
        return str(gauges.subjects([(budget.scope, budget.subject)])[budget.scope, budget.subject])
