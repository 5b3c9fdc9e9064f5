"""Which AI features a workspace uses: a section of its settings."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from . import flags
from .http import WorkspaceRequest
from .permissions import Permission, needs


class FeaturesForm(forms.Form):
    on = forms.MultipleChoiceField(
        required=False,
        choices=[(feature.name, feature.label) for feature in flags.FEATURES.values()],
        widget=forms.CheckboxSelectMultiple,
    )


@require_http_methods(["GET", "POST"])
@needs(Permission.CHANGE_SETTINGS)
def features(request: WorkspaceRequest) -> HttpResponse:
    form = FeaturesForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        if flags.switch(form.cleaned_data["on"]):
            messages.success(request, "That is saved, and counts from the next call on.")
        return redirect("workspace:features")
    own, operators = flags.own_switches(), flags.off_by_operator()
    rows: list[dict[str, Any]] = [
        {
            "feature": feature,
            "is_on": feature.name not in own or own[feature.name].is_on,
            "flag": own.get(feature.name),
            "operator": operators.get(feature.name),
        }
        for feature in flags.FEATURES.values()
    ]
    return render(request, "tenants/settings_features.html", {"form": form, "rows": rows})
