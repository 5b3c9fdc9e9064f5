"""Asking over a socket, and what came of it."""

from typing import Any

from apps.tenants.models import User
from apps.tenants.threads import in_thread
from tests.conftest import signed_in

ACME, GLOBEX = "/t/acme/ws/chat/", "/t/globex/ws/chat/"
QUESTION = "How many days of paid leave do we get?"


async def ask(reader: Any, question: str = QUESTION, **fields: Any) -> list[dict[str, Any]]:
    await reader.ask(question, **fields)
    return await reader.hear_all()


def said(events: list[dict[str, Any]]) -> str:
    """The text as a page shows it in the end."""
    text = ""
    for event in events:
        text = "" if event["type"] == "restart" else text + event.get("text", "")
    return text


async def look(user: User, path: str) -> str:
    """The page as that user gets it."""
    response = await in_thread(lambda: signed_in(user).get(path))
    return response.content.decode()


def of(kind: str, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] == kind]


def labels(events: list[dict[str, Any]]) -> list[str]:
    return [note["label"] for note in events[-1]["notes"]]
