from django.apps import AppConfig


class KnowledgeConfig(AppConfig):
    name = "apps.knowledge"

    def ready(self) -> None:
        from apps.tenants.flags import switched_on
        from apps.tenants.suspend import resumed

        from .unfinished import queue_own_unfinished, queue_what_waited

        resumed.connect(queue_own_unfinished, dispatch_uid="knowledge.unfinished")
        switched_on.connect(queue_what_waited, dispatch_uid="knowledge.unfinished")
