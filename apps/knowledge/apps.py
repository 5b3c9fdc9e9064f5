from django.apps import AppConfig


class KnowledgeConfig(AppConfig):
    name = "apps.knowledge"

    def ready(self) -> None:
        from apps.tenants.suspend import resumed

        from .unfinished import queue_own_unfinished

        resumed.connect(queue_own_unfinished, dispatch_uid="knowledge.unfinished")
