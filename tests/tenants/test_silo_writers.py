"""A workspace moves while its people write: nothing is lost, nothing stays behind, nobody gets an error."""

import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F

from apps.chat.models import Conversation, Message
from apps.knowledge.models import Document
from apps.tenants.context import tenant_context
from apps.tenants.migrate import silos
from apps.tenants.models import Tenant, User
from apps.tenants.silo import one_snapshot
from tests.conftest import Cast

from .forked import Command
from .silos import furnish, in_pool, in_silo, is_empty, leftovers, until_it_waits

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "platform"])


class Writer(threading.Thread):
    """Does one thing over and over in its tenant, and remembers what it was told is done."""

    def __init__(self, tenant: Tenant, work: Callable[["Writer"], None], user: User) -> None:
        super().__init__(name=work.__name__)
        self.tenant, self.work, self.user = tenant, work, user
        self.kept: dict[uuid.UUID, Any] = {}
        self.counted = 0
        self.errors: list[BaseException] = []
        self.enough = threading.Event()
        self.began = threading.Event()

    def run(self) -> None:
        with tenant_context(self.tenant):
            while not self.enough.wait(0.01):
                try:
                    self.work(self)
                except BaseException as error:
                    self.errors.append(error)
                self.began.set()
        connection.close()


def in_transactions(writer: Writer) -> None:
    with transaction.atomic():
        conversation = Conversation.objects.create(user=writer.user, title="Both")
        message = Message.objects.create(conversation=conversation, role="user", text="or none")
        with transaction.atomic():
            Conversation.objects.filter(pk=conversation.pk).update(title="or neither")
    writer.kept |= {conversation.pk: "or neither", message.pk: "or none"}


def in_statements(writer: Writer) -> None:
    conversation = Conversation.objects.create(user=writer.user, title="Alone")
    writer.kept[conversation.pk] = "Alone"


def changing(writer: Writer) -> None:
    """A counter that every write must find: an update of a row that has just moved would find nothing."""
    assert Document.objects.filter(filename="handbook.md").update(page_count=F("page_count") + 1) == 1
    writer.counted += 1


def changing_what_was_read(writer: Writer) -> None:
    conversation = Conversation.objects.create(user=writer.user, title="First")
    read = Conversation.objects.get(pk=conversation.pk)
    read.title = "Second"
    read.save(update_fields=["title"])
    writer.kept[read.pk] = "Second"


def deleting(writer: Writer) -> None:
    conversation = Conversation.objects.create(user=writer.user, title="Short-lived")
    assert Conversation.objects.filter(pk=conversation.pk).delete()[0] == 1


KINDS = [in_transactions, in_statements, changing, changing_what_was_read, deleting]


def test_nobody_who_writes_or_reads_notices_a_move(committed_cast: Cast, media: object) -> None:
    acme, globex = committed_cast.acme, committed_cast.globex
    furnish(acme, committed_cast.alice)
    furnish(globex, committed_cast.charlie)
    assert "already" in Command("demote", "acme").finish()  # the process that commands fork from is there now
    writers = [Writer(acme, work, committed_cast.alice) for work in KINDS]
    writers.append(Writer(globex, in_statements, committed_cast.charlie))
    for writer in writers:
        writer.start()
    for writer in writers:
        assert writer.began.wait(60)

    assert "now has a schema of its own" in Command("promote", "acme").finish()
    assert is_empty(in_pool(acme))
    assert "is back in the pool" in Command("demote", "acme").finish()
    for writer in writers:
        writer.enough.set()
        writer.join(60)

    assert [error for writer in writers for error in writer.errors] == []
    found = {row["id"]: row for rows in in_pool(acme).values() for (row,) in rows}
    kept = {str(pk): words for writer in writers if writer.tenant == acme for pk, words in writer.kept.items()}
    assert {pk: found[pk].get("title", found[pk].get("text")) for pk in kept if pk in found} == kept
    assert not [row for row in found.values() if row.get("title") == "Short-lived"]
    assert [row["page_count"] for row in found.values() if row.get("filename") == "handbook.md"] == [
        writers[KINDS.index(changing)].counted
    ]
    assert len(in_pool(globex)["chat_conversation"]) == len(writers[-1].kept) + 1
    assert (silos(), leftovers()) == ([], [])


def test_a_transaction_stays_in_one_schema_from_its_beginning_to_its_end(committed_cast: Cast, media: object) -> None:
    furnish(committed_cast.acme, committed_cast.alice)
    with tenant_context(committed_cast.acme), one_snapshot():
        locked = Conversation.objects.select_for_update().get()
        promotion = Command("promote", "acme")
        until_it_waits("advisory")

        assert Message.objects.filter(conversation=locked).count() == 2
        Conversation.objects.filter(pk=locked.pk).update(title="Changed")
    promotion.finish()

    assert [row["title"] for (row,) in in_silo(committed_cast.acme)["chat_conversation"]] == ["Changed"]
    assert is_empty(in_pool(committed_cast.acme))
