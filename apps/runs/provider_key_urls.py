from django.urls import path

from . import provider_key_views as views

app_name = "provider-keys"
urlpatterns = [
    path("", views.listing, name="list"),
    path("add/", views.add, name="add"),
    path("<uuid:id>/", views.use, name="use"),
    path("<uuid:id>/replace/", views.replace, name="replace"),
    path("<uuid:id>/test/", views.test, name="test"),
    path("<uuid:id>/switch/", views.switch, name="switch"),
    path("<uuid:id>/remove/", views.remove, name="remove"),
]
