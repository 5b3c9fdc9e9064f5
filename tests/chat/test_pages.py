"""Conversations' pages: listed to their owner, renamed, deleted with everything in them."""

import json

import pytest
from django.core.files.base import ContentFile

from apps.chat.ask import short
from apps.chat.models import Conversation, Message
from apps.knowledge.add import store
from apps.knowledge.ingest import ingest
from apps.runs.models import Run
from apps.tenants.context import tenant_context
from tests.conftest import Cast, signed_in

pytestmark = pytest.mark.pool_and_silo


def conversation(cast: Cast, title: str = "Leave") -> Conversation:
    with tenant_context(cast.acme):
        made = Conversation.objects.create(user=cast.alice, title=title)
        run = Run.objects.create(
            user=cast.alice, feature="chat", provider="offline", model="extractive-1", input_tokens=5, output_tokens=7
        )
        question = Message.objects.create(conversation=made, role="user", text="How many <b>days</b>?")
        Message.objects.create(conversation=made, role="assistant", text="28 days.", in_reply_to=question, run=run)
    return made


def test_a_conversation_is_shown_to_its_owner(cast: Cast) -> None:
    made = conversation(cast)

    response = signed_in(cast.alice).get(f"/t/acme/chat/{made.id}/")

    page = response.content.decode()
    assert "How many &lt;b&gt;days&lt;/b&gt;?" in page and "28 days." in page
    assert "/t/acme/ws/chat/" in page
    assert [json.loads(message.citations_json) for message in response.context["messages"]] == [[], []]


def test_a_conversation_is_renamed(cast: Cast) -> None:
    made = conversation(cast)
    client = signed_in(cast.alice)

    page = client.post(f"/t/acme/chat/{made.id}/rename/", {"title": "  Paid   leave "}).content.decode()
    client.post(f"/t/acme/chat/{made.id}/rename/", {"title": " "})

    assert "Paid leave" in page
    with tenant_context(cast.acme):
        assert Conversation.objects.get().title == "Paid leave"


def test_a_deleted_conversation_takes_its_messages_and_keeps_its_runs(cast: Cast) -> None:
    made = conversation(cast)

    response = signed_in(cast.alice).post(f"/t/acme/chat/{made.id}/delete/")

    assert response.url == "/t/acme/"
    with tenant_context(cast.acme):
        assert (Conversation.objects.count(), Message.objects.count(), Run.objects.count()) == (0, 0, 1)


def test_conversations_are_listed_newest_first_and_only_ones_own(cast: Cast) -> None:
    conversation(cast, "First")
    conversation(cast, "Second")

    listed = signed_in(cast.alice).get("/t/acme/chat/conversations/").content.decode()

    assert listed.index("Second") < listed.index("First")
    assert "First" not in signed_in(cast.bob).get("/t/acme/chat/conversations/").content.decode()


def test_changing_things_takes_a_post(cast: Cast) -> None:
    made = conversation(cast)

    for action in ("rename", "delete"):
        assert signed_in(cast.alice).get(f"/t/acme/chat/{made.id}/{action}/").status_code == 405


def test_titles_are_cut_between_words() -> None:
    assert short("  one\n two ") == "one two"
    assert short("word " * 30) == "word " * 10 + "word word…"


def test_runs_and_usage_show_all_to_owners_and_members_their_own(cast: Cast) -> None:
    conversation(cast)
    with tenant_context(cast.acme):
        Run.objects.create(user=cast.bob, feature="bobs-feature", provider="openai", model="house-model")

    alices, bobs = signed_in(cast.alice), signed_in(cast.bob)

    assert {run.feature for run in alices.get("/t/acme/runs/").context["runs"]} == {"chat", "bobs-feature"}
    assert {run.feature for run in bobs.get("/t/acme/runs/").context["runs"]} == {"bobs-feature"}
    usage = alices.get("/t/acme/usage/").context
    assert {(row["feature"], row["runs"]) for row in usage["by_feature"]} == {("bobs-feature", 1), ("chat", 1)}
    assert {row["email"] for row in bobs.get("/t/acme/usage/").context["by_user"]} == {cast.bob.email}


def test_example_questions_come_from_ones_own_documents(cast: Cast, media: object) -> None:
    with tenant_context(cast.acme):
        for name, text in (("leave.md", "# Handbook\n\n## Paid leave\n\n28 days."), ("plain.txt", "No headings.")):
            ingest(store(ContentFile(text.encode(), name=name), user=None).id)

    assert signed_in(cast.bob).get("/t/acme/").context["example_questions"] == [
        "What does “Handbook” say about “Paid leave”?"
    ]
    assert signed_in(cast.charlie).get("/t/globex/").context["example_questions"] == []
