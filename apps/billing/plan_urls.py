from django.urls import path

from . import plan_views

app_name = "plan"
urlpatterns = [
    path("", plan_views.plan, name="plan"),
    path("choose/", plan_views.choose, name="choose"),
    path("done/", plan_views.done, name="done"),
    path("portal/", plan_views.portal, name="portal"),
]
