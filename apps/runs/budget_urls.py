from django.urls import path

from . import budget_views

app_name = "budgets"
urlpatterns = [
    path("", budget_views.budget_list, name="list"),
    path("add/", budget_views.add_budget, name="add"),
    path("alerts/dismiss/", budget_views.dismiss_alerts, name="dismiss"),
    path("<uuid:id>/", budget_views.change_budget, name="change"),
    path("<uuid:id>/remove/", budget_views.remove_budget, name="remove"),
]
