from django.apps import AppConfig


class RunsConfig(AppConfig):
    name = "apps.runs"

    def ready(self) -> None:
        from apps.tenants import api_keys
        from apps.tenants.flags import switched_on
        from apps.tenants.suspend import resumed

        from . import configuration
        from .batches.unfinished import queue_own_running, resume_switched_off

        api_keys.kept = configuration.kept_key
        resumed.connect(queue_own_running, dispatch_uid="runs.batches")
        switched_on.connect(resume_switched_off, dispatch_uid="runs.batches")
