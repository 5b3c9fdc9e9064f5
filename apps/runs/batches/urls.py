from django.urls import path

from . import step_views, views

app_name = "batches"
urlpatterns = [
    path("", views.batch_list, name="list"),
    path("new/", views.new, name="new"),
    path("<uuid:id>/", views.batch, name="batch"),
    path("<uuid:id>/steps/", step_views.steps, name="steps"),
    path("<uuid:id>/steps/draw/", step_views.draw_steps, name="draw-steps"),
    path("<uuid:id>/preview/", views.preview, name="preview"),
    path("<uuid:id>/start/", views.start, name="start"),
    path("<uuid:id>/pause/", views.pause, name="pause"),
    path("<uuid:id>/resume/", views.resume, name="resume"),
    path("<uuid:id>/cancel/", views.cancel, name="cancel"),
    path("<uuid:id>/retry/", views.retry, name="retry"),
    path("<uuid:id>/rows/<int:number>/", views.row, name="row"),
    path("<uuid:id>/results.csv", views.results_csv, name="results-csv"),
    path("<uuid:id>/results.jsonl", views.results_jsonl, name="results-jsonl"),
]
