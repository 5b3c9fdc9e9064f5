from django.urls import path

from . import experiment_views

urlpatterns = [
    path("experiments/<uuid:id>/stop/", experiment_views.stop_experiment, name="stop-experiment"),
    path("<slug:prompt>/experiment/", experiment_views.experiment, name="experiment"),
]
