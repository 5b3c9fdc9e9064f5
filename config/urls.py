"""The hub: what is outside every workspace. `config.workspace_urls` is inside one."""

from django.contrib import admin
from django.urls import include, path

from apps.tenants import views
from config.health import healthz

urlpatterns = [
    path("", views.landing, name="landing"),
    path("healthz", healthz, name="healthz"),
    path("workspaces/", views.workspaces, name="workspaces"),
    path("workspaces/new/", views.create, name="create-workspace"),
    path("accounts/", include("allauth.account.urls")),
    path("platform/", admin.site.urls),
]
