"""The hub: what is outside every workspace. `config.workspace_urls` is inside one."""

from django.contrib import admin
from django.urls import include, path

from apps.billing.hub_views import stripe_webhook
from apps.tenants import account_views, member_views, views
from config.health import healthz

urlpatterns = [
    path("", views.landing, name="landing"),
    path("healthz", healthz, name="healthz"),
    path("workspaces/", views.workspaces, name="workspaces"),
    path("workspaces/new/", views.create, name="create-workspace"),
    path("accounts/", account_views.overview, name="account"),
    path("accounts/second-factor/", account_views.second_factor, name="second-factor"),
    path("accounts/sessions/<int:pk>/end/", account_views.end_session, name="end-session"),
    path("accounts/", include("allauth.urls")),
    path("invitations/<str:token>/", member_views.invitation, name="invitation"),
    path("stripe/webhook/", stripe_webhook, name="stripe-webhook"),
    path("platform/", admin.site.urls),
]
