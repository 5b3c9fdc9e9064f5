"""A reply, from its question to its last event.

It runs in a task of its own in the web process: a reader who leaves doesn't end it, and any process can follow it
through its stream. Stopping is a message to all processes; the one that writes the reply ends the provider call,
keeps what was said and settles it.
"""

import asyncio
import logging
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import numpy as np
from django.conf import settings

from apps.knowledge.embed import embed_query
from apps.knowledge.search import Hit, search
from apps.prompts.models import PromptVersion
from apps.runs import execute
from apps.runs.answers import CacheQuery
from apps.runs.gateway.types import Request
from apps.runs.models import Run
from apps.runs.refusals import SwitchedOff
from apps.tenants.models import Tenant, User
from apps.tenants.threads import in_thread, surely
from apps.tenants.traces import STOP_CHANNEL

from . import stream
from .ask import Asked
from .cached import cache_query, knows, written_from
from .context import HISTORY_MESSAGES, build_request, search_query
from .models import Message
from .passages import passages_json
from .store import store_reply

log = logging.getLogger(__name__)

FEATURE = "chat"
DRAIN_S = 5
RESUBSCRIBE_S = 1

_stops: dict[str, asyncio.Event] = {}  # of the replies this process is writing
_tasks: set[asyncio.Task[None]] = set()
_listeners: dict[asyncio.AbstractEventLoop, asyncio.Task[None]] = {}


async def start(asked: Asked, *, user: User, workspace: Tenant) -> None:
    """Begin answering, in the caller's tenant. Its stream exists when this returns."""
    _listen()
    writer = stream.Writer(asked.reply.id)
    await writer.open()
    task = asyncio.create_task(answer(asked, writer, user=user, workspace=workspace))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


async def answer(asked: Asked, out: stream.Writer, *, user: User, workspace: Tenant) -> None:
    """Search, call a model, store the reply with its citations. Each step is an event of the stream."""
    name = stream.key(asked.reply.id)
    stop = _stops.setdefault(name, asyncio.Event())
    run: Run | None = None
    hits: list[Hit | None] = []
    try:
        async with out:
            try:
                await out.put("waiting")
                given = await in_thread(gather, asked, user, workspace)
                hits = [*given.hits]
                await out.put("passages", passages=passages_json(hits))
                run = await execute.complete(
                    given.request,
                    feature=FEATURE,
                    user=user,
                    prompt_version=given.version,
                    tier=given.version.forced_tier,
                    on_delta=out.delta,
                    on_restart=out.restart,
                    stop=stop,
                    cache=given.cache,
                )
                if run.is_cached:  # it cites what it was written from, not what was found now
                    hits = await in_thread(written_from, run)
                    await out.put("passages", passages=passages_json(hits))
                    if not out.has_begun:
                        await out.delta(run.text)
            except Exception:
                log.exception("reply %s failed", asked.reply.id)
            await finish(asked.reply, out, run=run, hits=hits)
    except Exception:
        log.exception("reply %s could not be stored", asked.reply.id)
    finally:
        _stops.pop(name, None)


@dataclass(frozen=True, slots=True)
class Given:
    """What a model will be given. `cache` is there for a question that another one's answer may answer."""

    request: Request
    hits: list[Hit]
    version: PromptVersion
    cache: CacheQuery | None


def gather(asked: Asked, user: User, workspace: Tenant) -> Given:
    """Passages found for the question, the live prompt, the turns before."""
    question = asked.question.text
    before = asked.conversation.messages.filter(created_at__lt=asked.question.created_at).order_by("-created_at")
    history = list(reversed(before[:HISTORY_MESSAGES]))
    limit = Tenant.objects.get(pk=workspace.pk).passages_per_answer or settings.PASSAGES_PER_ANSWER
    knowledge = knows(workspace.name, limit)  # first: whatever changes after this makes the answer one of the past
    query = search_query(question, history)
    vector = meaning(query, user)
    hits = search(query, limit=limit, user=user, vector=vector)
    version = PromptVersion.objects.chosen("answer", subject=user.id)
    request = build_request(
        question,
        hits=hits,
        history=history,
        version=version,
        workspace_name=workspace.name,
        conversation_id=asked.conversation.id,
    )
    cache = cache_query(question, vector, hits, is_first=not history, knowledge=knowledge)
    return Given(request, hits, version, cache)


def meaning(query: str, user: User) -> np.ndarray | None:
    """The query's vector, float32 [384]; None where search by meaning is switched off."""
    try:
        return embed_query(query, user=user)
    except SwitchedOff:
        return None


async def finish(reply: Message, out: stream.Writer, *, run: Run | None, hits: list[Hit | None]) -> None:
    """Store what was said, then tell the reader. Without a run something of ours broke."""
    fault = None
    if run is None or run.status in (Run.Status.FAILED, Run.Status.REFUSED):
        fault = execute.explain(run.error if run else None)
    store = partial(store_reply, reply, run=run, hits=hits, fault=fault, has_restarted=out.has_restarted)
    ending = await in_thread(surely, store)
    if ending is None:  # its conversation was deleted while it was written
        await stream.forget([reply.id])
    else:
        await out.put(**ending)


async def stop(reply_id: UUID) -> None:
    """End a reply, whichever process writes it. Who may is the caller's to check."""
    name = stream.key(reply_id)
    if event := _stops.get(name):
        event.set()
    await stream.redis().publish(STOP_CHANNEL, name)


async def drain() -> None:
    """Stop every reply of this process and wait until what they said is stored."""
    for event in _stops.values():
        event.set()
    if _tasks:
        await asyncio.wait(_tasks, timeout=DRAIN_S)
    for listener in _listeners.values():
        listener.cancel()
    _listeners.clear()


def _listen() -> None:
    loop = asyncio.get_running_loop()
    if loop not in _listeners or _listeners[loop].done():
        _listeners[loop] = loop.create_task(_hear_stops())


async def _hear_stops() -> None:
    """Until cancelled; a lost connection is made anew."""
    while True:
        with stream.logged():
            async with stream.redis().pubsub() as subscription:
                await subscription.subscribe(STOP_CHANNEL)
                async for message in subscription.listen():
                    if message["type"] == "message":
                        for name in [name for name in _stops if name.startswith(message["data"])]:
                            _stops[name].set()
        await asyncio.sleep(RESUBSCRIBE_S)
