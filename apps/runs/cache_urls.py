from django.urls import path

from . import cache_settings

urlpatterns = [
    path("", cache_settings.cache_settings, name="cache-settings"),
    path("purge/", cache_settings.purge_cache, name="purge-cache"),
]
