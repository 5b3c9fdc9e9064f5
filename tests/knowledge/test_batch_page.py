"""Documents that become the rows of a batch."""

import pytest
from django.test import Client

from apps.knowledge.models import Document
from apps.runs.models import Batch
from apps.tenants.context import tenant_context, tenant_id_context
from tests.conftest import Cast, signed_in

from .conftest import Add

HERE = "/t/acme/documents/batch/"


@pytest.fixture
def bob(cast: Cast) -> Client:
    return signed_in(cast.bob)


def read(document: Document, text: str) -> Document:
    """As if its text had been read."""
    with tenant_id_context(document.tenant_id):
        Document.objects.filter(pk=document.pk).update(status=Document.Status.READY, text=text)
    return document


@pytest.mark.django_db
def test_chosen_documents_become_rows(cast: Cast, bob: Client, add: Add) -> None:
    leave, travel = (read(add(cast.acme, f"{name}.", f"{name}.md"), f"All of {name}") for name in ("leave", "travel"))
    theirs = read(add(cast.globex, "secret", "secret.md"), "Theirs")
    waiting = add(cast.acme, "not read yet", "queued.md")

    page = bob.get(HERE).content.decode()
    assert leave.title in page and theirs.title not in page and waiting.title not in page
    made = bob.post(HERE, {"document": [str(each.pk) for each in (travel, theirs, waiting)]})

    with tenant_context(cast.acme):
        batch = Batch.objects.get()
        assert made.headers["Location"] == f"/t/acme/batches/{batch.pk}/steps/"
        assert batch.columns == ["title", "text"]
        assert list(batch.rows.values_list("input", flat=True)) == [{"title": travel.title, "text": "All of travel"}]


@pytest.mark.django_db
def test_what_no_row_has_room_for_is_named_and_nobody_else_may(cast: Cast, bob: Client, add: Add) -> None:
    long = read(add(cast.acme, "long", "long.md"), "x" * 50_001)

    response = bob.post(HERE, {"document": [str(long.pk)]})
    assert response.status_code == 422
    assert f"“{long.title}” has 50,001 characters" in response.content.decode()
    assert b"checked" in response.content
    for sent in ({}, {"document": ["no id", "\0"]}):
        assert "No document is chosen." in bob.post(HERE, sent).content.decode()
    assert signed_in(cast.charlie).get(HERE).status_code == 404
    assert signed_in(cast.charlie).post(HERE, {"document": [str(long.pk)]}).status_code == 404
    with tenant_context(cast.acme):
        assert not Batch.objects.exists()
