"""One request, undone afterwards, and what it gave away."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import unquote, urlencode

from asgiref.sync import async_to_sync
from django.contrib.messages.storage.cookie import CookieStorage
from django.core import mail
from django.db import connection, connections, transaction
from django.test import Client

from apps.tenants.context import tenant_context
from apps.tenants.models import User

from .state import changed, state
from .world import Side, World

METHODS = ("GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@contextmanager
def undone(*aliases: str) -> Iterator[None]:
    """What is done inside is rolled back, on every database alias or on these. Code may insist on its own commit."""
    with ExitStack() as stack:
        for alias in aliases or connections:
            atomic = transaction.atomic(using=alias)
            atomic._from_testcase = True
            stack.enter_context(atomic)
            stack.callback(transaction.set_rollback, True, using=alias)
        yield


@dataclass
class Answer:
    """`text` is all that was sent back: status, headers, cookies, body, and mail to others than the victim's people."""

    status: int
    location: str
    text: str
    faults: list[str]  # what it changed of the victim's, or told


class Visitor:
    """A browser of `user` (None: not signed in), kept from `victim`: nothing of its data may show or change."""

    def __init__(self, world: World, user: User | None, victim: Side | None) -> None:
        self.client = Client(raise_request_exception=False)
        self.victim = victim
        self.cookies = world.cookies[user.pk if user else None]
        self.client.cookies = SimpleCookie(self.cookies)
        if victim:
            self.ids, self.addresses = victim.ids(), {person.email for person in victim.people.values()}
            with tenant_context(victim.tenant), connection.cursor() as cursor:
                self.before = state(cursor, victim)

    def send(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        form: dict[str, Any] | None = None,
        cookies: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        aliases: tuple[str, ...] = ("default",),
    ) -> Answer:
        """What comes back. `aliases` are those that the view may write by; what it wrote is undone."""
        self.client.cookies = SimpleCookie({**self.cookies, **(cookies or {})})
        mail.outbox.clear()

        with undone(*aliases):
            response = self.client.generic(
                method,
                path,
                urlencode(form or {}, doseq=True),
                content_type="application/x-www-form-urlencoded",
                query_params=query,
                headers=headers,
            )
            content = whole(response)
            text = told(response, content) + self.mailed()
            faults = self.leaks(text, sent=unquote(f"{path} {query} {form} {headers} {cookies}"))
            faults += self.damage()
        return Answer(response.status_code, response.headers.get("Location", ""), text, faults)

    def mailed(self) -> str:
        others = [letter for letter in mail.outbox if self.victim and not {*letter.recipients()} <= self.addresses]
        return "".join(f"\n{letter.subject}\n{letter.body}" for letter in others)

    def leaks(self, text: str, *, sent: str) -> list[str]:
        if not self.victim:
            return []
        found = {text[at.start() : at.start() + 60].split("<")[0] for at in re.finditer(self.victim.mark, text)}
        found |= (self.ids & set(UUID.findall(text))) - set(UUID.findall(sent))
        return [f"tells {each!r}" for each in sorted(found) if each not in sent]

    def damage(self) -> list[str]:
        """What of the victim's is different by now, in any transaction that has written at all."""
        if not self.victim:
            return []
        found = []
        for each in connections.all(initialized_only=True):
            if each.needs_rollback or not each.in_atomic_block or not has_written(each):
                continue
            with tenant_context(self.victim.tenant), each.cursor() as cursor:
                found += [f"changes {change}" for change in changed(self.before, state(cursor, self.victim))]
        return found


def has_written(connection: Any) -> bool:
    """Asked of the driver: our own cursors would first say who is acting."""
    return connection.connection.execute("SELECT pg_current_xact_id_if_assigned()").fetchone()[0] is not None


def whole(response: Any) -> bytes:
    """The body. A view may stream it from a coroutine, which a server of ours runs."""
    if not response.streaming:
        return response.content

    async def all_of() -> list[bytes]:
        return [part async for part in response.streaming_content]

    return b"".join(async_to_sync(all_of)() if response.is_async else response.streaming_content)


def told(response: Any, content: bytes) -> str:
    headers = "\n".join(f"{name}: {value}" for name, value in response.headers.items())
    flashed = response.cookies.get("messages")
    messages = CookieStorage(response.wsgi_request)._decode(flashed.value) if flashed and flashed.value else []
    cookies = response.cookies.output() + "".join(str(each) for each in messages or [])
    return f"{response.status_code}\n{headers}\n{cookies}\n{content.decode(errors='replace')}"


def is_login(location: str) -> bool:
    return location.startswith("/accounts/login/?next=")
