"""The knowledge's revision is another one after each change of what a search can find, and the same otherwise."""

import pytest
from django.core.files.base import ContentFile

from apps.knowledge.add import remove, store
from apps.knowledge.ingest import ingest
from apps.knowledge.models import Document
from apps.knowledge.revision import revision
from apps.tenants.context import tenant_context
from tests.conftest import Cast

pytestmark = pytest.mark.pool_and_silo


def add(name: str, text: str) -> Document:
    document = store(ContentFile(text.encode(), name=name), user=None)
    assert isinstance(document, Document)
    ingest(document.id)
    return document


def test_each_change_makes_another_revision(cast: Cast, media: object) -> None:
    with tenant_context(cast.acme):
        seen = [revision()]

        leave = add("leave.md", "# Leave\n\nWe get 28 days of leave.")
        seen.append(revision())
        travel = add("travel.md", "# Travel\n\nHotels may cost 140 dollars.")
        seen.append(revision())
        Document.objects.filter(pk=leave.pk).update(status="queued")  # read again, with the same chunks until it is
        seen.append(revision())
        ingest(leave.id)
        seen.append(revision())
        Document.objects.filter(pk=travel.pk).update(title="Journeys")
        seen.append(revision())
        remove(Document.objects.get(pk=travel.pk))
        seen.append(revision())

    assert len(set(seen)) == len(seen)


def test_what_no_search_can_find_changes_nothing(cast: Cast, media: object) -> None:
    with tenant_context(cast.acme):
        add("leave.md", "# Leave\n\nWe get 28 days of leave.")
        before = revision()

        queued = store(ContentFile(b"# New\n\nNot read yet.", name="new.md"), user=None)
        assert isinstance(queued, Document)
        Document.objects.filter(pk=queued.pk).update(status="embedding", progress_percent=40)
        queued.fail("x", "It failed.", "Try again.")
        Document.objects.update(progress_percent=99)

        assert revision() == before


def test_another_tenants_documents_have_no_part_in_it(cast: Cast, media: object) -> None:
    with tenant_context(cast.acme):
        before = revision()
    with tenant_context(cast.globex):
        add("guide.md", "# Leave\n\nGlobex gives 25 days.")
        globex = revision()

    with tenant_context(cast.acme):
        assert revision() == before != globex


def test_it_takes_one_query(cast: Cast, django_assert_num_queries: object) -> None:
    with tenant_context(cast.acme), django_assert_num_queries(1):  # type: ignore[operator]
        revision()
