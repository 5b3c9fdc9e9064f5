"""A workspace: what its members see under `/t/<slug>/`. The prefix is the middleware's business."""

from django.urls import include, path

from apps.runs.model_settings import model_settings
from config.workspace_admin import site

urlpatterns = [
    path("", include("apps.chat.urls")),
    path("", include("apps.knowledge.urls")),
    path("runs/", include("apps.runs.urls")),
    path("usage/", include("apps.billing.urls")),
    path("", include("apps.tenants.workspace_urls")),
    path("settings/models/", model_settings, name="model-settings"),
    path("admin/", site.urls),
]
