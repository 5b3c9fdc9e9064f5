from django.urls import path

from . import batch_views, views

app_name = "knowledge"
urlpatterns = [
    path("documents/", views.documents, name="documents"),
    path("documents/table/", views.table, name="table"),
    path("documents/upload/", views.upload, name="upload"),
    path("documents/batch/", batch_views.batch, name="batch"),
    path("documents/<uuid:id>/", views.document, name="document"),
    path("documents/<uuid:id>/original/", views.original, name="original"),
    path("documents/<uuid:id>/retry/", views.retry, name="retry"),
    path("documents/<uuid:id>/delete/", views.delete, name="delete"),
    path("search/", views.search_page, name="search"),
]
