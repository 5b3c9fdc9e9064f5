"""Settings, Cache: whether answers are given again, to how similar a question and for how long; and forgetting them."""

from datetime import timedelta

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from apps.tenants.audit import record
from apps.tenants.http import WorkspaceRequest
from apps.tenants.permissions import Permission, needs

from . import answers, policies
from .cache_use import cache_use
from .models import CachedAnswer, Policy, Run

SHOWN_DAYS = 30
MOST_HOURS = 24 * 90


class CacheForm(forms.ModelForm):
    cache_hours = forms.IntegerField(label="Hours an answer is kept", min_value=1, max_value=MOST_HOURS)

    class Meta:
        model = Policy
        fields = ("cache_is_on", "cache_threshold", "cache_hours")
        labels = {
            "cache_is_on": "Give an answer again when the same question is asked",
            "cache_threshold": "Similar enough from",
        }
        help_texts = {
            "cache_threshold": "0.90 to 1.00. Numbers, names, “not” and every other word that can change an answer "
            "must be the same in any case.",
        }
        error_messages = {
            "cache_threshold": dict.fromkeys(
                ("invalid", "min_value", "max_value", "required", "max_decimal_places", "max_digits"),
                "Write a number from 0.90 to 1.00 with two decimals, such as 0.95.",
            )
        }


@require_http_methods(["GET", "POST"])
@needs(Permission.CHANGE_SETTINGS)
def cache_settings(request: WorkspaceRequest) -> HttpResponse:
    form = CacheForm(request.POST if request.method == "POST" else None, instance=policies.policy())
    if request.method == "POST" and form.is_valid():
        policies.change(**form.cleaned_data)
        messages.success(request, "That is saved. It counts from the next question on.")
        return redirect("cache-settings")
    recent = Run.objects.filter(created_at__gte=timezone.now() - timedelta(days=SHOWN_DAYS))
    context = {"form": form, "kept": CachedAnswer.objects.count(), "use": cache_use(recent), "days": SHOWN_DAYS}
    return render(request, "runs/cache_settings.html", {**context, "most_kept": answers.MOST_KEPT})


@require_POST
@needs(Permission.CHANGE_SETTINGS)
def purge_cache(request: WorkspaceRequest) -> HttpResponse:
    count = answers.purge()
    record("cache.purged", count=count)
    messages.success(request, "Every answer that was kept is forgotten.")
    return redirect("cache-settings")
