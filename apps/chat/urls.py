from django.urls import path

from . import views

app_name = "chat"
urlpatterns = [
    path("", views.home, name="home"),
    path("chat/conversations/", views.conversations, name="conversations"),
    path("chat/<uuid:id>/", views.conversation, name="conversation"),
    path("chat/<uuid:id>/rename/", views.rename, name="rename"),
    path("chat/<uuid:id>/delete/", views.delete, name="delete"),
    path("chat/messages/<uuid:id>/feedback/", views.feedback, name="feedback"),
]
