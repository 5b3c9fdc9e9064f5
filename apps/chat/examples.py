"""Questions to begin with, made from what the workspace's own documents speak of."""

from apps.knowledge.models import Chunk

MOST = 3


def example_questions() -> list[str]:
    """Up to three, each about a section of another document, the newest first."""
    sections = (
        Chunk.objects.filter(document__status="ready", heading__contains=" > ")
        .order_by("-document__created_at", "document_id", "position")
        .distinct("document__created_at", "document_id")
        .values_list("document__title", "heading")
    )
    return [f"What does “{title}” say about “{heading.split(' > ')[-1]}”?" for title, heading in sections[:MOST]]
