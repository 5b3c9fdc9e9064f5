"""The chat socket: takes questions, and tells what happens to them.

One socket serves a page. `WorkspaceSocket` has checked origin, session and membership; each frame checks the
session and the membership again, and reaches a conversation only through its user.
"""

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from channels.generic.websocket import AsyncWebsocketConsumer

from apps.tenants.permissions import Permission, allowed
from apps.tenants.sockets import FORBIDDEN, find_membership
from apps.tenants.threads import in_thread

from . import reply, stream
from .ask import Asked, Refused, ask
from .interrupted import close_interrupted
from .models import Message
from .passages import conversation_path

log = logging.getLogger(__name__)

MAX_FRAME_CHARS = 64_000
CURSOR = re.compile(r"\d{1,20}(-\d{1,20})?")
Frame = dict[str, Any]


class ChatConsumer(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        self.user, self.workspace = self.scope["user"], self.scope["workspace"]
        self.following: dict[UUID, asyncio.Task[None]] = {}
        await self.accept()

    async def disconnect(self, code: int) -> None:
        for task in self.following.values():
            task.cancel()
        await asyncio.gather(*self.following.values(), return_exceptions=True)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        frame: Frame = {}
        try:
            frame = parse(text_data)
            membership = await in_thread(find_membership, self.scope["session_key"], self.workspace.slug)
            who = (self.workspace.id, self.user.id)
            is_same = membership is not None and (membership.tenant_id, membership.user_id) == who
            if not membership or not is_same or not allowed(membership, Permission.ASK):
                await self.close(FORBIDDEN["code"])
                return
            await self.actions[frame["type"]](self, frame)
        except Refused as refusal:
            await self.refuse(frame, refusal)
        except Exception:
            log.exception("chat frame failed")
            await self.refuse(frame, Refused("internal", "Something broke on our side.", "Try again in a moment."))

    async def on_ask(self, frame: Frame) -> None:
        conversation_id = as_uuid(frame.get("conversation")) if frame.get("conversation") else None
        asked = await in_thread(
            ask,
            str(frame.get("text", "")),
            user=self.user,
            client_id=as_uuid(frame.get("id")),
            conversation_id=conversation_id,
        )
        if not asked.is_repeat:
            await reply.start(asked, user=self.user, workspace=self.workspace)
        await self.tell({"type": "accepted", "id": frame["id"], **accepted(asked)})
        self.follow(asked.reply.id, stream.START)

    async def on_follow(self, frame: Frame) -> None:
        cursor = str(frame.get("cursor") or stream.START)
        if not CURSOR.fullmatch(cursor):
            raise Refused("bad_frame", "The page sent something this server doesn't understand.", "Reload the page.")
        self.follow(await self.own_reply(frame), cursor)

    async def on_stop(self, frame: Frame) -> None:
        await reply.stop(await self.own_reply(frame))

    actions: dict[str, Callable[["ChatConsumer", Frame], Awaitable[None]]] = {
        "ask": on_ask,
        "follow": on_follow,
        "stop": on_stop,
    }

    async def own_reply(self, frame: Frame) -> UUID:
        reply_id = as_uuid(frame.get("reply"))
        own = Message.objects.filter(pk=reply_id, conversation__user=self.user)
        if not await in_thread(own.exists):
            raise Refused("no_reply", "This answer no longer exists.", "Reload the page.")
        return reply_id

    def follow(self, reply_id: UUID, cursor: str) -> None:
        if before := self.following.pop(reply_id, None):
            before.cancel()
        task = asyncio.create_task(self.relay(reply_id, cursor))
        self.following[reply_id] = task
        task.add_done_callback(
            lambda _: self.following.pop(reply_id, None) if self.following.get(reply_id) is task else None
        )

    async def relay(self, reply_id: UUID, cursor: str) -> None:
        has_ended = False
        try:
            async for event in stream.follow(reply_id, cursor):
                has_ended = event["type"] in stream.LAST
                await self.tell({**event, "reply": str(reply_id)})
            if not has_ended:
                for event in await close_interrupted(reply_id):
                    await self.tell({**event, "reply": str(reply_id), "cursor": cursor})
        except Exception:
            log.exception("reply %s could not be followed", reply_id)
            lost = Refused("not_followed", "The answer can't be shown as it is written.", "Reload in a moment.")
            await self.refuse({"reply": str(reply_id)}, lost)

    async def refuse(self, frame: Frame, refusal: Refused) -> None:
        await self.tell(
            {
                "type": "error",
                "id": frame.get("id"),
                "reply": frame.get("reply"),
                "code": refusal.code,
                "message": refusal.message,
                "action": refusal.action,
                "resets_at": None,
            }
        )

    async def tell(self, event: Frame) -> None:
        await self.send(text_data=json.dumps(event))


def parse(text: str | None) -> Frame:
    try:
        frame = json.loads((text or "")[: MAX_FRAME_CHARS + 1])
    except ValueError:
        frame = None
    if not isinstance(frame, dict) or frame.get("type") not in ChatConsumer.actions:
        raise Refused("bad_frame", "The page sent something this server doesn't understand.", "Reload the page.")
    return frame


def as_uuid(value: object) -> UUID:
    try:
        return UUID(str(value))
    except ValueError:
        raise Refused("bad_frame", "The page sent something this server doesn't understand.", "Reload.") from None


def accepted(asked: Asked) -> Frame:
    return {
        "conversation": {
            "id": str(asked.conversation.id),
            "title": asked.conversation.title,
            "url": conversation_path(asked.conversation.id),
            "is_new": asked.is_new_conversation,
        },
        "reply": str(asked.reply.id),
    }
