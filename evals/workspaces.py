"""The workspaces that tests ask in: the demo's two, and one for each folder of evals/documents with its files."""

from collections.abc import Collection
from io import StringIO
from pathlib import Path
from uuid import UUID

from .bad import ROOT, Bad, shown

SEED = ROOT / "apps/chat/seed"  # the demo's, which `manage.py seed` makes
DOCUMENTS = Path(__file__).parent / "documents"


def folders() -> dict[str, Path]:
    """Where each workspace's documents are, by its slug."""
    return {path.name: path for parent in (SEED, DOCUMENTS) for path in sorted(parent.iterdir()) if path.is_dir()}


def load(slugs: Collection[str]) -> None:
    """Make those of these workspaces that aren't there yet. Raises Bad for a document that can't be read."""
    from django.core.management import call_command

    from apps.tenants.context import tenant_context
    from apps.tenants.models import User
    from apps.tenants.signup import SlugTaken, create_workspace

    wanted = {slug: folder for slug, folder in folders().items() if slug in slugs}
    if any(folder.parent == SEED for folder in wanted.values()):
        call_command("seed", stdout=StringIO())
    for slug, folder in wanted.items():
        owner, _ = User.objects.get_or_create(email=f"{slug}@example.com")
        try:
            workspace = create_workspace(slug.title(), owner=owner, slug=slug)
        except SlugTaken:
            continue
        with tenant_context(workspace):
            for path in sorted(folder.iterdir()):
                add(path.name, path.read_bytes(), where=shown(path))


def add(name: str, content: bytes, *, where: str) -> UUID:
    """Read a document into the active workspace as an upload is; its id. Raises Bad at `where` if it can't be read."""
    from django.core.files.base import ContentFile

    from apps.knowledge.add import store
    from apps.knowledge.ingest import ingest
    from apps.knowledge.models import Document

    stored = store(ContentFile(content, name=name), user=None)
    if isinstance(stored, Document):
        ingest(stored.id)
        stored.refresh_from_db()
        if stored.status == Document.Status.READY:
            return stored.id
    said = stored.error_message if isinstance(stored, Document) else stored.text
    raise Bad(where, f"can't be read: {said}", "Mend it there.")
