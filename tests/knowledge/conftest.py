"""Documents in the workspaces of the cast."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.files.base import ContentFile

from apps.knowledge.add import store
from apps.knowledge.ingest import ingest
from apps.knowledge.models import Document
from apps.knowledge.parse import Limits, Parsed, parse, sniff
from apps.tenants.context import tenant_context
from apps.tenants.models import Tenant

Add = Callable[..., Document]


@pytest.fixture
def add(media: Path) -> Add:
    """add(tenant, text or bytes, filename) -> its queued document."""

    def add(tenant: Tenant, content: str | bytes, filename: str = "handbook.md") -> Document:
        data = content.encode() if isinstance(content, str) else content
        with tenant_context(tenant):
            return store(ContentFile(data, name=filename), user=None)

    return add


@pytest.fixture
def know(add: Add) -> Add:
    """know(tenant, text or bytes, filename) -> its document, ingested."""

    def know(tenant: Tenant, content: str | bytes, filename: str = "handbook.md") -> Document:
        document = add(tenant, content, filename)
        with tenant_context(tenant):
            ingest(document.id)
            document.refresh_from_db()
        return document

    return know


@pytest.fixture
def parsed(tmp_path: Path):
    """Parse these bytes as an uploaded file of that name."""

    def parsed(data: bytes, filename: str, **options: Limits) -> Parsed:
        path = tmp_path / filename
        path.write_bytes(data)
        return parse(path, sniff(data[:8192], filename), **options)

    return parsed
