"""The web process: pages over HTTP, chat over WebSockets, and an orderly end to both."""

import logging
import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.core.asgi import get_asgi_application

http = get_asgi_application()

from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path

from apps.chat import reply
from apps.chat.consumer import ChatConsumer
from apps.tenants import doors
from apps.tenants.checks import refuse_to_serve
from apps.tenants.sockets import WorkspaceSocket
from apps.tenants.threads import in_thread
from config.logs import HideSecrets

logging.getLogger("uvicorn.access").addFilter(HideSecrets())
websocket_urls = [path("ws/chat/", ChatConsumer.as_asgi())]


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
    {"http": http, "websocket": WorkspaceSocket(URLRouter(websocket_urls)), "lifespan": lifespan}
)
