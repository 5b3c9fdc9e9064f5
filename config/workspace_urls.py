"""A workspace: what its members see under `/t/<slug>/`. The prefix is the middleware's business."""

from django.urls import include, path

from apps.chat.feedback_api import run_feedback
from apps.chat.try_prompt_views import try_prompt
from apps.runs.safety_settings import safety_settings
from config.workspace_admin import site

urlpatterns = [
    path("", include("apps.chat.urls")),
    path("", include("apps.knowledge.urls")),
    path("runs/", include("apps.runs.urls")),
    path("batches/", include("apps.runs.batches.urls")),
    path("usage/", include("apps.billing.urls")),
    path("", include("apps.tenants.workspace_urls")),
    path("settings/prompts/", include("apps.runs.experiment_urls")),
    path("settings/prompts/<slug:prompt>/try/", try_prompt, name="try-prompt"),
    path("settings/prompts/", include("apps.prompts.urls")),
    path("settings/models/", include("apps.runs.model_urls")),
    path("settings/cache/", include("apps.runs.cache_urls")),
    path("settings/budgets/", include("apps.runs.budget_urls")),
    path("settings/provider-keys/", include("apps.runs.provider_key_urls")),
    path("settings/api-keys/", include("apps.runs.api_key_urls")),
    path("settings/quality/", include("apps.chat.quality.urls")),
    path("settings/plan/", include("apps.billing.plan_urls")),
    path("settings/safety/", safety_settings, name="safety-settings"),
    path("api/v1/runs/<uuid:id>/feedback", run_feedback, name="run-feedback"),
    path("api/", include("apps.runs.api_urls")),
    path("admin/", site.urls),
]
