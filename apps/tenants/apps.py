from django.apps import AppConfig


class TenantsConfig(AppConfig):
    name = "apps.tenants"
    verbose_name = "Tenants"

    def ready(self) -> None:
        from config import celery  # noqa: F401  (tasks are published through our app)

        from . import checks  # noqa: F401  (registers the system checks)
