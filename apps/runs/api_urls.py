from django.urls import path, re_path

from . import api

app_name = "api"
urlpatterns = [
    path("v1/chat/completions", api.chat_completions, name="chat-completions"),
    path("v1/models", api.models, name="models"),
    re_path("", api.not_found, name="not-found"),
]
