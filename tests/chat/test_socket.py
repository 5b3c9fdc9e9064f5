"""A question over the socket, up to a cited answer; and everybody who must get nothing."""

import asyncio
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.sessions.models import Session

from apps.chat import reply, stream
from apps.chat.models import Citation, Conversation, Message
from apps.runs.models import Run
from apps.tenants.context import tenant_context
from apps.tenants.models import Membership, User
from apps.tenants.threads import in_thread
from tests.conftest import Cast, signed_in
from tests.gateway.stub import Say, Stall, Stub

pytestmark = pytest.mark.pool_and_silo

ACME = "/t/acme/ws/chat/"


async def test_a_question_is_answered_with_a_citation_and_leaves_one_run(handbooks: Cast, socket: Any) -> None:
    alice = await socket(handbooks.alice, ACME)

    asked = await alice.ask("How many days of paid leave do we get?")
    events = await alice.hear_all()

    kinds = [event["type"] for event in events]
    assert kinds[:3] == ["accepted", "waiting", "passages"]
    assert set(kinds[3:-1]) == {"delta"}
    assert kinds[-1] == "done"
    assert events[0]["id"] == asked
    text = "".join(event["text"] for event in events if event["type"] == "delta")
    assert "28 days" in text and "25 days" not in text
    done = events[-1]
    assert [citation["number"] for citation in done["citations"]] == [1]
    assert "28 days" in done["citations"][0]["quote"]
    assert done["citations"][0]["url"].startswith("/t/acme/documents/")
    with tenant_context(handbooks.acme):
        stored = await in_thread(Message.objects.select_related("run").get, role="assistant")
        completions = await in_thread(list, Run.objects.filter(kind="completion"))
        searches = await in_thread(list, Run.objects.filter(kind="embedding", user=handbooks.alice))
    assert (stored.text, stored.status, stored.run) == (text, "ok", completions[0])
    assert len(completions) == 1 and len(searches) == 1
    run = completions[0]
    assert (run.status, run.provider, run.feature, run.user_id) == ("ok", "offline", "chat", handbooks.alice.id)
    assert run.cost_usd == 0 and run.output_tokens > 0 and run.prompt_version_id is not None
    with tenant_context(handbooks.globex):
        assert await in_thread(Run.objects.filter(feature="chat").count) == 0


async def test_the_other_tenant_gets_its_own_answer(handbooks: Cast, socket: Any) -> None:
    charlie = await socket(handbooks.charlie, "/t/globex/ws/chat/")

    await charlie.ask("How many days of paid leave do we get?")
    events = await charlie.hear_all()

    text = "".join(event.get("text", "") for event in events)
    assert "25 days" in text and "Acme" not in json.dumps(events)


async def test_who_may_not_connect(handbooks: Cast, socket: Any) -> None:
    assert await socket(handbooks.charlie, ACME) is None
    assert await socket(None, ACME) is None
    assert await socket(handbooks.alice, "/t/nobody/ws/chat/") is None
    assert await socket(handbooks.alice, ACME, origin="http://evil.example") is None
    assert await socket(handbooks.alice, ACME, origin="") is None
    assert await socket(handbooks.alice, ACME, origin="http://testserver.evil.example") is None
    assert await socket(handbooks.alice, ACME) is not None


async def test_an_outsider_reaches_no_conversation_and_no_reply(handbooks: Cast, socket: Any) -> None:
    alice, bob = await socket(handbooks.alice, ACME), await socket(handbooks.bob, ACME)
    charlie = await socket(handbooks.charlie, "/t/globex/ws/chat/")
    await alice.ask("How many days of paid leave do we get?")
    accepted = (await alice.hear_all())[0]

    for outsider in (bob, charlie):
        await outsider.ask("What did she ask?", conversation=accepted["conversation"]["id"])
        assert (await outsider.hear())["code"] == "no_conversation"
        for action in ("follow", "stop"):
            await outsider.say({"type": action, "reply": accepted["reply"]})
            assert (await outsider.hear())["code"] == "no_reply"


async def test_a_question_sent_twice_is_asked_once(handbooks: Cast, socket: Any) -> None:
    first, second = await socket(handbooks.alice, ACME), await socket(handbooks.alice, ACME)
    client_id = await first.ask("How many days of paid leave do we get?")
    events = await first.hear_all()

    await second.ask("How many days?", id=client_id, conversation=events[0]["conversation"]["id"])
    again = await second.hear_all()

    assert again[0]["reply"] == events[0]["reply"]
    assert again[-1]["type"] == "done"
    with tenant_context(handbooks.acme):
        assert await in_thread(Message.objects.count) == 2


async def test_a_reader_who_left_rejoins_where_they_were(handbooks: Cast, socket: Any) -> None:
    leaver = await socket(handbooks.alice, ACME)
    await leaver.ask("How many days of paid leave do we get?")
    accepted = await leaver.hear("accepted")
    seen = await leaver.hear("passages")
    await leaver.leave()

    back = await socket(handbooks.alice, ACME)
    await back.say({"type": "follow", "reply": accepted["reply"], "cursor": seen["cursor"]})
    rest = await back.hear_all()

    assert {event["type"] for event in rest[:-1]} == {"delta"}
    assert rest[-1]["type"] == "done" and rest[-1]["status"] == "ok"


async def test_following_a_reply_whose_stream_is_gone_tells_it_from_the_database(handbooks: Cast, socket: Any) -> None:
    alice = await socket(handbooks.alice, ACME)
    await alice.ask("How many days of paid leave do we get?")
    events = await alice.hear_all()
    with tenant_context(handbooks.acme):
        await stream.forget([uuid.UUID(events[0]["reply"])])

    await alice.say({"type": "follow", "reply": events[0]["reply"]})
    told = await alice.hear_all()

    assert [event["type"] for event in told] == ["restart", "delta", "done"]
    assert told[1]["text"] == "".join(event.get("text", "") for event in events)
    assert told[2]["citations"] == events[-1]["citations"]


async def test_a_reply_whose_process_died_keeps_what_it_said(handbooks: Cast, socket: Any) -> None:
    with tenant_context(handbooks.acme):
        conversation = await in_thread(Conversation.objects.create, user=handbooks.alice, title="x")
        dead = await in_thread(
            Message.objects.create, conversation=conversation, role="assistant", status=Message.Status.STREAMING
        )
        writer = stream.Writer(dead.id)
        await writer.delta("Everybody gets ")
        await stream.redis().delete(f"{stream.key(dead.id)}:alive")
    alice = await socket(handbooks.alice, ACME)

    await alice.say({"type": "follow", "reply": str(dead.id)})
    events = await alice.hear_all()

    assert events[-1]["code"] == "interrupted"
    with tenant_context(handbooks.acme):
        kept = await in_thread(Message.objects.get, pk=dead.id)
    assert (kept.status, kept.text) == ("failed", "Everybody gets ")


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("not json", "bad_frame"),
        ('{"type": "delete_everything"}', "bad_frame"),
        ("[1]", "bad_frame"),
        ('{"type": "ask", "id": "x", "text": "hi"}', "bad_frame"),
        ('{"type": "ask", "id": "%s", "text": "  "}', "empty"),
        ('{"type": "ask", "id": "%s", "text": "{long}"}', "too_long"),
        ('{"type": "follow", "reply": "%s"}', "no_reply"),
    ],
)
async def test_a_bad_frame_gets_a_sentence(committed_cast: Cast, socket: Any, frame: str, code: str) -> None:
    alice = await socket(committed_cast.alice, ACME)

    await alice.say(frame.replace("%s", str(uuid.uuid4())).replace("{long}", "x" * 9_000))
    event = await alice.hear()

    assert (event["type"], event["code"]) == ("error", code)
    assert event["message"] and event["action"]


async def test_a_second_question_waits_for_the_answer_before(committed_cast: Cast, socket: Any) -> None:
    with tenant_context(committed_cast.acme):
        conversation = await in_thread(Conversation.objects.create, user=committed_cast.alice, title="x")
        await in_thread(
            Message.objects.create, conversation=conversation, role="assistant", status=Message.Status.STREAMING
        )
    alice = await socket(committed_cast.alice, ACME)

    await alice.ask("And now?", conversation=str(conversation.id))

    assert (await alice.hear())["code"] == "busy"


async def test_a_member_removed_while_connected_is_cut_off(handbooks: Cast, socket: Any) -> None:
    bob = await socket(handbooks.bob, ACME)
    with tenant_context(handbooks.acme):
        await in_thread(Membership.objects.filter(user=handbooks.bob).delete)

    await bob.ask("How many days of paid leave do we get?")

    assert (await bob.receive_output(timeout=10))["type"] == "websocket.close"


async def test_a_stopped_server_stores_what_was_said(handbooks: Cast, socket: Any) -> None:
    alice = await socket(handbooks.alice, ACME)
    await alice.ask("How many days of paid leave do we get?")
    await alice.hear("waiting")

    await reply.drain()

    done = (await alice.hear_all())[-1]
    assert done["type"] == "done" and done["status"] in ("stopped", "ok")
    with tenant_context(handbooks.acme):
        assert not await in_thread(Message.objects.filter(status=Message.Status.STREAMING).exists)
        assert not await in_thread(Run.objects.filter(status=Run.Status.RUNNING).exists)


async def test_a_deleted_document_takes_its_citations_along(handbooks: Cast, socket: Any) -> None:
    from apps.knowledge.add import remove
    from apps.knowledge.models import Chunk, Document

    alice = await socket(handbooks.alice, ACME)
    await alice.ask("How many days of paid leave do we get?")
    await alice.hear_all()

    with tenant_context(handbooks.acme):
        document = await in_thread(Document.objects.get)
        path = document.file.path
        await in_thread(remove, document)
        counts = [await in_thread(model.unscoped.count) for model in (Document, Chunk, Citation)]
    assert counts == [0, 0, 0]
    assert not await asyncio.to_thread(__import__("os").path.exists, path)


async def until(condition: Any) -> None:
    """Wait until `condition()` is true, a moment at a time, at most twenty seconds."""
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110  (Redis has no event to wait for)
            await asyncio.sleep(0.02)


@pytest.fixture
def slow_model(server: Stub, settings: Any) -> Stub:
    """A model that says two words and then waits for ever."""
    server.calls.clear()
    settings.OPENAI_API_KEY, settings.OPENAI_BASE_URL = "sk-test", server.base_url("openai")
    server.script(settings.OPENAI_MODEL, Say("Once "), Say("upon"), Stall())
    return server


@pytest.fixture(scope="module")
def server() -> Iterator[Stub]:
    with Stub().serving() as stub:
        yield stub


async def begin_story(reader: Any) -> dict[str, Any]:
    """Ask the slow model, up to its first words; returns the `accepted` event."""
    await reader.ask("Tell me a story.")
    accepted = await reader.hear("accepted")
    await reader.hear("delta")
    return accepted


async def test_stop_ends_the_provider_call_and_keeps_what_was_said(
    handbooks: Cast, socket: Any, slow_model: Stub
) -> None:
    alice = await socket(handbooks.alice, ACME)
    accepted = await begin_story(alice)

    await alice.say({"type": "stop", "reply": accepted["reply"]})
    done = await alice.hear("done")

    assert done["status"] == "stopped"
    assert await asyncio.to_thread(slow_model.calls[0].was_hung_up.wait, 1)
    with tenant_context(handbooks.acme):
        stored = await in_thread(Message.objects.select_related("run").get, pk=accepted["reply"])
    assert (stored.status, stored.run.status) == ("stopped", "stopped")
    assert stored.text and "Once upon".startswith(stored.text.strip())


async def test_stop_works_after_redis_dropped_the_listener(handbooks: Cast, socket: Any, slow_model: Stub) -> None:
    alice = await socket(handbooks.alice, ACME)
    accepted = await begin_story(alice)
    client = stream.redis()
    await client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")

    async def is_listening() -> bool:
        return (await client.pubsub_numsub(reply.STOP_CHANNEL))[0][1] > 0

    await until(is_listening)
    await alice.say({"type": "stop", "reply": accepted["reply"]})

    assert (await alice.hear("done"))["status"] == "stopped"


async def test_a_first_question_sent_again_begins_no_second_conversation(handbooks: Cast, socket: Any) -> None:
    alice = await socket(handbooks.alice, ACME)
    client_id = await alice.ask("How many days of paid leave do we get?")
    first = await alice.hear_all()

    await alice.ask("How many days of paid leave do we get?", id=client_id)
    again = await alice.hear_all()

    assert again[0]["conversation"] == first[0]["conversation"]
    with tenant_context(handbooks.acme):
        assert await in_thread(Conversation.objects.count) == 1
        assert await in_thread(Run.objects.filter(kind="completion").count) == 1


async def test_another_users_question_id_reaches_nothing_of_theirs(handbooks: Cast, socket: Any) -> None:
    alice, bob = await socket(handbooks.alice, ACME), await socket(handbooks.bob, ACME)
    client_id = await alice.ask("How many days of paid leave do we get?")
    alices = await alice.hear_all()

    await bob.ask("How many days of paid leave do we get?", id=client_id)
    bobs = await bob.hear_all()

    assert bobs[0]["conversation"]["id"] != alices[0]["conversation"]["id"]
    assert bobs[0]["reply"] != alices[0]["reply"]


@pytest.mark.parametrize("shut_out", ["signed out", "deactivated"])
async def test_who_lost_their_session_or_account_is_cut_off(handbooks: Cast, socket: Any, shut_out: str) -> None:
    alice = await socket(handbooks.alice, ACME)
    if shut_out == "signed out":
        await in_thread(Session.objects.all().delete)
    else:
        await in_thread(User.objects.filter(pk=handbooks.alice.pk).update, is_active=False)

    await alice.ask("How many days of paid leave do we get?")

    assert (await alice.receive_output(timeout=10))["type"] == "websocket.close"


async def test_a_reply_called_interrupted_too_early_is_kept_when_it_ends(
    handbooks: Cast, socket: Any, slow_model: Stub
) -> None:
    alice = await socket(handbooks.alice, ACME)
    accepted = await begin_story(alice)
    with tenant_context(handbooks.acme):
        await in_thread(
            Message.objects.filter(pk=accepted["reply"]).update, status="failed", error_code="interrupted", text=""
        )

    await reply.drain()

    with tenant_context(handbooks.acme):
        kept = await in_thread(Message.objects.get, pk=accepted["reply"])
    assert (kept.status, kept.error_code, kept.text.strip()) == ("stopped", "", "Once upon")


async def test_deleting_a_conversation_stops_its_reply_and_leaves_no_stream(
    handbooks: Cast, socket: Any, slow_model: Stub
) -> None:
    alice = await socket(handbooks.alice, ACME)
    accepted = await begin_story(alice)

    def delete() -> int:
        return signed_in(handbooks.alice).post(f"/t/acme/chat/{accepted['conversation']['id']}/delete/").status_code

    assert await in_thread(delete) == 302
    assert await asyncio.to_thread(slow_model.calls[0].was_hung_up.wait, 5)
    with tenant_context(handbooks.acme):
        key = stream.key(uuid.UUID(accepted["reply"]))

    async def is_forgotten() -> bool:
        return not await stream.redis().exists(key, f"{key}:alive")

    await until(is_forgotten)
    with tenant_context(handbooks.acme):
        run = await in_thread(Run.objects.get, kind="completion")
    assert run.status == "stopped"


async def test_other_sites_odd_cookies_keep_nobody_out(handbooks: Cast, socket: Any) -> None:
    for odd in ("prefs=a b", 'x={"a":1}', "novalue"):
        assert await socket(handbooks.alice, ACME, more_cookies=f"{odd}; ") is not None
    assert await socket(handbooks.alice, ACME, origin="http://[::1") is None


async def test_a_bad_cursor_gets_a_sentence(handbooks: Cast, socket: Any) -> None:
    alice = await socket(handbooks.alice, ACME)

    await alice.say({"type": "follow", "reply": str(uuid.uuid4()), "cursor": "$"})

    assert (await alice.hear())["code"] == "bad_frame"
