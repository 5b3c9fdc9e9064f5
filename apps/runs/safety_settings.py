"""What the guard does about what it notices: a section of the workspace's settings."""

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from apps.tenants.http import WorkspaceRequest
from apps.tenants.permissions import Permission, needs

from . import configuration, policies
from .models import Policy
from .moderation import moderator

LEAST_CHARS, MOST_CHARS = 2_000, 4_000_000
HOW_LONG = f"Write a number from {LEAST_CHARS:,} to {MOST_CHARS:,}."


class SafetyForm(forms.ModelForm):
    max_input_chars = forms.IntegerField(
        label="Longest request, in characters",
        min_value=LEAST_CHARS,
        max_value=MOST_CHARS,
        help_text="A request is the question with the passages that were found and what was said before.",
        error_messages=dict.fromkeys(("required", "invalid", "min_value", "max_value"), HOW_LONG),
    )

    class Meta:
        model = Policy
        fields = ("max_input_chars", "on_injection", "moderates", "on_moderation")
        labels = {
            "on_injection": "A question that tries to give the assistant other orders",
            "moderates": "Have questions and answers moderated by the provider",
            "on_moderation": "What moderation objects to",
        }
        widgets = {"on_injection": forms.RadioSelect, "on_moderation": forms.RadioSelect}


@require_http_methods(["GET", "POST"])
@needs(Permission.CHANGE_SETTINGS)
def safety_settings(request: WorkspaceRequest) -> HttpResponse:
    form = SafetyForm(request.POST if request.method == "POST" else None, instance=policies.policy())
    if request.method == "POST" and form.is_valid():
        policies.change(**form.cleaned_data)
        messages.success(request, "That is saved. It counts from the next question on.")
        return redirect("safety-settings")
    return render(request, "runs/safety_settings.html", {"form": form, "moderator": moderator(configuration.fresh())})
