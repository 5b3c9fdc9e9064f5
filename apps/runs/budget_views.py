"""Budgets, as owners and admins set them: a section of the workspace's settings."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.validators import MaxValueValidator
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.tenants.http import WorkspaceRequest
from apps.tenants.models import ApiKey, Membership
from apps.tenants.permissions import Permission, needs

from . import alerts, budgets, gauges
from .models import Budget
from .models.budget import Scope

HIGHEST_USD = 1_000_000
AMOUNT = {
    "required": "Write how much may be spent at most.",
    "invalid": "Write an amount in dollars, such as 25 or 2.50.",
    "min_value": "Write an amount above zero. To allow no calls at all, switch AI off instead.",
    "max_value": f"No budget is above ${HIGHEST_USD:,}. Write a smaller amount.",
    "max_digits": f"No budget is above ${HIGHEST_USD:,}. Write a smaller amount.",
    "max_whole_digits": f"No budget is above ${HIGHEST_USD:,}. Write a smaller amount.",
    "max_decimal_places": "Amounts have six decimal places at most.",
}

SOFT_ACTIONS = [
    (Budget.SoftAction.NOTIFY, "Tell owners and admins"),
    (Budget.SoftAction.DEGRADE, "Tell them, and use cheap models"),
]


class LimitForm(forms.ModelForm):
    """How much, and what happens on the way there."""

    class Meta:
        model = Budget
        fields: tuple[str, ...] = ("cap_usd", "soft_percent", "soft_action", "is_hard")
        labels = {
            "cap_usd": "At most, in US dollars",
            "soft_percent": "Soft limit, in percent of it",
            "soft_action": "From the soft limit on",
            "is_hard": "Refuse calls that could go beyond it",
        }
        widgets = {"cap_usd": forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})}
        error_messages = {
            "cap_usd": AMOUNT,
            "soft_percent": {
                "min_value": "Write a number of percent from 1 to 100.",
                "max_value": "Write a number of percent from 1 to 100.",
                "invalid": "Write a whole number of percent from 1 to 100.",
            },
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["soft_action"].choices = SOFT_ACTIONS  # type: ignore[attr-defined]
        self.fields["cap_usd"].validators.append(MaxValueValidator(HIGHEST_USD, AMOUNT["max_value"]))


class BudgetForm(LimitForm):
    """A new one. `who` is a scope and a subject: "workspace:", "user:<id>", "user:" for each person."""

    who = forms.ChoiceField(label="Whose calls")
    field_order = ("who", "period")

    class Meta(LimitForm.Meta):
        fields = ("period", *LimitForm.Meta.fields)
        labels = {**LimitForm.Meta.labels, "period": "In"}

    def __init__(self, data: QueryDict | None = None) -> None:
        super().__init__(data)
        self.fields["who"].choices = choices()  # type: ignore[attr-defined]

    def clean_who(self) -> tuple[str, str]:
        scope, _, subject = self.cleaned_data["who"].partition(":")
        return scope, subject

    def add(self) -> Budget | None:
        """The budget; None, with an error on the form, if there is such a one."""
        values = dict(self.cleaned_data)
        scope, subject = values.pop("who")
        try:
            return budgets.add(scope=scope, subject=subject, **values)
        except budgets.Refused as refusal:
            self.add_error("who", str(refusal))
            return None


def choices() -> list[Any]:
    """Everybody and everything a budget can be for, as a <select> lists them."""
    members = Membership.objects.order_by("user__email").values_list("user_id", "user__email")
    keys = [key for key in ApiKey.objects.order_by("name", "created_at") if key.is_open]
    found: dict[Scope, list[tuple[str, str]]] = {
        Scope.USER: [(str(user_id), email) for user_id, email in members],
        Scope.FEATURE: [(name, name) for name in budgets.features()],
        Scope.API_KEY: [(str(key.pk), str(gauges.api_key(key))) for key in keys],
    }
    groups = {Scope.USER: "People", Scope.FEATURE: "Features", Scope.API_KEY: "API keys"}
    return [
        (f"{Scope.WORKSPACE}:", gauges.EACH[Scope.WORKSPACE]),
        *(
            (groups[scope], [(f"{scope}:{subject}", name) for subject, name in [("", gauges.EACH[scope]), *each]])
            for scope, each in found.items()
        ),
    ]


@require_GET
@needs(Permission.MANAGE_BUDGETS)
def budget_list(request: WorkspaceRequest) -> HttpResponse:
    context = {"standings": gauges.standings(), "tokens": gauges.tokens_today(request.workspace)}
    return render(request, "runs/budgets.html", context)


@require_http_methods(["GET", "POST"])
@needs(Permission.MANAGE_BUDGETS)
def add_budget(request: WorkspaceRequest) -> HttpResponse:
    form = BudgetForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid() and (budget := form.add()):
        tell(request, budget)
        return redirect("budgets:list")
    return render(request, "runs/budget.html", {"form": form})


@require_http_methods(["GET", "POST"])
@needs(Permission.MANAGE_BUDGETS)
def change_budget(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    """Its limits. Whose it is and its period stay: another one is another budget."""
    budget = get_object_or_404(Budget.objects, pk=id)
    form = LimitForm(request.POST if request.method == "POST" else None, instance=budget)
    if request.method == "POST" and form.is_valid():
        tell(request, budgets.change(budget, **form.cleaned_data))
        return redirect("budgets:list")
    return render(request, "runs/budget.html", {"form": form, "budget": budget, "who": budgets.who(budget)})


@require_POST
@needs(Permission.MANAGE_BUDGETS)
def remove_budget(request: WorkspaceRequest, id: UUID) -> HttpResponse:
    budgets.remove(get_object_or_404(Budget.objects, pk=id))
    messages.success(request, "The budget is removed. What was spent stays counted.")
    return redirect("budgets:list")


@require_POST
@needs(Permission.MANAGE_BUDGETS)
def dismiss_alerts(request: WorkspaceRequest) -> HttpResponse:
    """Hide what the banner says now from this session, until a budget reaches its next threshold."""
    alerts.dismiss(request)
    if request.htmx:
        return HttpResponse()
    back = request.META.get("HTTP_REFERER", "")
    is_ours = url_has_allowed_host_and_scheme(back, {request.get_host()}, request.is_secure())
    return redirect(back if is_ours else "budgets:list")


def tell(request: WorkspaceRequest, budget: Budget) -> None:
    """That it is saved, and whether its cap is below what is spent already."""
    over = next((gauge for gauge in gauges.standing(budget).gauges if gauge.level == "spent"), None)
    if over is None:
        messages.success(request, "The budget is saved. It counts from the next call on.")
        return
    refused = " Calls are refused until it resets." if budget.is_hard else ""
    messages.warning(request, f"The budget is saved. {over.spent} of {over.cap} are spent already.{refused}")
