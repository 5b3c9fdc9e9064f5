from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "apps.billing"

    def ready(self) -> None:
        from apps.tenants.leaving import erasing
        from apps.tenants.signup import workspace_created

        from . import checks  # noqa: F401  (registers itself)
        from .begin_and_end import begin, end

        workspace_created.connect(begin, dispatch_uid="billing.begin")
        erasing.connect(end, dispatch_uid="billing.end")
