"""Settings, Models: which may answer, how one is chosen, and what each tier is made of."""

from django.urls import path

from . import circuit_views, model_settings, route_views

urlpatterns = [
    path("", model_settings.model_settings, name="model-settings"),
    path("policy/", model_settings.change_policy, name="model-policy"),
    path("state/", circuit_views.model_state, name="model-state"),
    path("try/", route_views.try_route, name="try-route"),
    path("routes/add/", route_views.add_route, name="add-route"),
    path("routes/<uuid:id>/up/", route_views.move_route, {"by": -1}, name="raise-route"),
    path("routes/<uuid:id>/down/", route_views.move_route, {"by": 1}, name="lower-route"),
    path("routes/<uuid:id>/remove/", route_views.remove_route, name="remove-route"),
]
