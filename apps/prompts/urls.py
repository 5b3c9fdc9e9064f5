from django.urls import path

from . import views

app_name = "prompts"
urlpatterns = [
    path("", views.prompt_list, name="list"),
    path("new/", views.make, name="make"),
    path("versions/<uuid:id>/", views.version, name="version"),
    path("versions/<uuid:id>/publish/", views.publish_version, name="publish"),
    path("versions/<uuid:id>/delete/", views.discard_version, name="discard"),
    path("<slug:prompt>/", views.prompt, name="prompt"),
    path("<slug:prompt>/edit/", views.edit, name="edit"),
    path("<slug:prompt>/roll-back/", views.roll_back, name="roll-back"),
    path("<slug:prompt>/default/", views.back_to_default, name="default"),
]
