"""A workspace: what its members see under `/t/<slug>/`. The prefix is the middleware's business."""

from django.urls import include, path

urlpatterns = [
    path("", include("apps.chat.urls")),
    path("", include("apps.knowledge.urls")),
    path("runs/", include("apps.runs.urls")),
    path("usage/", include("apps.billing.urls")),
]
