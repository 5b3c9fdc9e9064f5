"""The web process: pages over HTTP, chat over WebSockets, and an orderly end to both."""

import logging
import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django

django.setup(set_prefix=False)

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.exception import convert_exception_to_response
from django.urls import path

from apps.chat import reply
from apps.chat.consumer import ChatConsumer
from apps.tenants import api_access, doors
from apps.tenants.checks import refuse_to_serve
from apps.tenants.sockets import WorkspaceSocket
from apps.tenants.threads import in_thread
from config.logs import HideSecrets

logging.getLogger("uvicorn.access").addFilter(HideSecrets())
websocket_urls = [path("ws/chat/", ChatConsumer.as_asgi())]


class Handler(ASGIHandler):
    """Django's, which asks first whether a program calls a workspace's API: the middleware is for pages."""

    asked: Any = staticmethod(convert_exception_to_response(api_access.serve))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and api_access.PATH.fullmatch(scope["path"]):
            await self.handle(scope, receive, send)  # without the thread that each request for a page gets
        else:
            await super().__call__(scope, receive, send)

    async def get_response_async(self, request: Any) -> Any:
        response = await self.asked(request)
        if response is None:
            return await super().get_response_async(request)
        response._resource_closers.append(request.close)
        return response


async def lifespan(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Refuses to start on an unsafe database; at the end stops the replies under way and keeps what they said."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            try:
                await in_thread(refuse_to_serve)
            except SystemExit as refusal:
                await send({"type": "lifespan.startup.failed", "message": str(refusal)})
                return
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await reply.drain()
            await doors.stop_listening()
            await send({"type": "lifespan.shutdown.complete"})
            return


application = ProtocolTypeRouter(
    {"http": Handler(), "websocket": WorkspaceSocket(URLRouter(websocket_urls)), "lifespan": lifespan}
)
