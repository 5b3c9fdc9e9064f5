from django.urls import path

from . import case_views, feedback_views, trend_views

app_name = "quality"
urlpatterns = [
    path("", feedback_views.feedback_list, name="feedback"),
    path("messages/<uuid:id>/case/", case_views.make_case, name="make-case"),
    path("runs/<uuid:id>/case/", case_views.case_of_run, name="case-of-run"),
    path("cases/", case_views.case_list, name="cases"),
    path("cases/export/", case_views.export_cases, name="export-cases"),
    path("cases/<uuid:id>/", case_views.case, name="case"),
    path("cases/<uuid:id>/remove/", case_views.remove_case, name="remove-case"),
    path("trend/", trend_views.trend, name="trend"),
    path("measuring/", trend_views.measuring, name="measuring"),
]
