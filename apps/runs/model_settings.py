"""Which models a workspace allows, and how much they are given: a section of its settings."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from apps.tenants.change import change
from apps.tenants.http import WorkspaceRequest
from apps.tenants.models import Tenant
from apps.tenants.permissions import Permission, needs

from .chain import configured

MOST_PASSAGES = 20  # as the table's column allows


class ModelsForm(forms.Form):
    """`every` model of the installation, those of the future too, or `some`, which are then checked by name."""

    which = forms.ChoiceField(
        choices=[("every", "Every model of this service, and those it gets later"), ("some", "Only these")],
        widget=forms.RadioSelect,
    )
    models = forms.MultipleChoiceField(required=False, widget=forms.CheckboxSelectMultiple)
    passages = forms.IntegerField(label="Passages per answer", required=False, min_value=1, max_value=MOST_PASSAGES)

    def __init__(self, data: QueryDict | None, workspace: Tenant) -> None:
        allowed = workspace.allowed_models
        initial = {
            "which": "some" if allowed else "every",
            "models": allowed,
            "passages": workspace.passages_per_answer,
        }
        super().__init__(data, initial=initial)
        self.targets = configured()
        self.gone = [name for name in allowed if name not in {target.model for target in self.targets}]
        self.fields["models"].choices = [(target.model, target.provider) for target in self.targets]  # type: ignore[attr-defined]

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
    form = ModelsForm(request.POST if request.method == "POST" else None, request.workspace)
    if request.method == "POST" and form.is_valid():
        change(request.workspace, **form.values())
        messages.success(request, "That is saved. It counts from the next question on.")
        return redirect("model-settings")
    return render(request, "runs/model_settings.html", {"form": form, "default": settings.PASSAGES_PER_ANSWER})
