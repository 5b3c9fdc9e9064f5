"""Which models a workspace allows, how one is chosen and how much it is given: a section of its settings."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from apps.tenants.change import change
from apps.tenants.http import WorkspaceRequest
from apps.tenants.models import Tenant
from apps.tenants.permissions import Permission, needs

from . import configuration, policies, routes
from .configuration import Configuration
from .route_forms import PolicyForm, RouteForm

MOST_PASSAGES = 20  # as the table's column allows


class ModelsForm(forms.Form):
    """`every` model that is offered, those of the future too, or `some`, which are then checked by name."""

    which = forms.ChoiceField(
        choices=[("every", "Every model of this service, and those it gets later"), ("some", "Only these")],
        widget=forms.RadioSelect,
    )
    models = forms.MultipleChoiceField(required=False, widget=forms.CheckboxSelectMultiple)
    passages = forms.IntegerField(label="Passages per answer", required=False, min_value=1, max_value=MOST_PASSAGES)

    def __init__(self, data: QueryDict | None, workspace: Tenant, known: Configuration) -> None:
        allowed = workspace.allowed_models
        initial = {
            "which": "some" if allowed else "every",
            "models": allowed,
            "passages": workspace.passages_per_answer,
        }
        super().__init__(data, initial=initial)
        providers: dict[str, list[str]] = {}
        for target in routes.targets(known):
            providers.setdefault(target.model, []).append(target.provider)
        self.gone = [name for name in allowed if name not in providers]
        self.fields["models"].choices = [(name, ", ".join(names)) for name, names in providers.items()]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if data.get("which") == "some" and not data.get("models") and "models" not in self.errors:
            self.add_error("models", "Choose at least one model.")
        return data

    def values(self) -> dict[str, Any]:
        data = self.cleaned_data
        return {
            "allowed_models": data["models"] if data["which"] == "some" else [],
            "passages_per_answer": data["passages"],
        }


@require_http_methods(["GET", "POST"])
@needs(Permission.CHANGE_SETTINGS)
def model_settings(request: WorkspaceRequest) -> HttpResponse:
    if request.method != "POST":
        return show(request)
    form = ModelsForm(request.POST, request.workspace, configuration.fresh())
    if not form.is_valid():
        return show(request, form=form)
    change(request.workspace, **form.values())
    return saved(request)


@require_POST
@needs(Permission.CHANGE_SETTINGS)
def change_policy(request: WorkspaceRequest) -> HttpResponse:
    form = PolicyForm(request.POST)
    if not form.is_valid():
        return show(request, policy_form=form)
    policies.change(**form.cleaned_data)
    return saved(request)


def saved(request: WorkspaceRequest) -> HttpResponse:
    messages.success(request, "That is saved. It counts from the next question on.")
    return redirect("model-settings")


def show(
    request: WorkspaceRequest,
    *,
    form: ModelsForm | None = None,
    policy_form: PolicyForm | None = None,
    route_form: RouteForm | None = None,
) -> HttpResponse:
    """The page, with a form that was sent and wasn't right in the place of a fresh one."""
    known = configuration.fresh()
    tiers = routes.tiers(known)
    of_tier = {each.tier.value: RouteForm(known=known, tier=each.tier) for each in tiers}
    if route_form is not None:
        of_tier[str(route_form["tier"].value())] = route_form
    context = {
        "form": form or ModelsForm(None, request.workspace, known),
        "policy_form": policy_form or PolicyForm(instance=policies.policy()),
        "tiers": [(each, of_tier[each.tier]) for each in tiers],
        "default": settings.PASSAGES_PER_ANSWER,
    }
    return render(request, "runs/model_settings.html", context)
