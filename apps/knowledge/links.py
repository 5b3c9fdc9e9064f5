from uuid import UUID

from django.conf import settings
from django.urls import reverse


def passage_path(document_id: UUID, chunk_id: UUID) -> str:
    """The passage, marked in its document. Needs the workspace's script prefix."""
    return f"{reverse('knowledge:document', urlconf=settings.WORKSPACE_URLCONF, args=[document_id])}?passage={chunk_id}"
