from django.urls import path

from . import api_key_views

app_name = "api-keys"
urlpatterns = [
    path("", api_key_views.keys, name="list"),
    path("<uuid:id>/revoke/", api_key_views.revoke, name="revoke"),
]
