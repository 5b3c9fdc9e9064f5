from django.apps import AppConfig


class RunsConfig(AppConfig):
    name = "apps.runs"

    def ready(self) -> None:
        from apps.tenants import api_keys

        from . import configuration

        api_keys.kept = configuration.kept_key
