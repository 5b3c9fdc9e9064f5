"""The HTTP client for a workspace's own provider, handed to that provider's SDK.

It connects to no address but those `guard` permits, follows no redirect, and asks no proxy. And it alone has the key:
the SDK is given a stand-in, in whose place the key is put when a request leaves and which takes the key's place in
what comes back. So what the SDK logs, raises or keeps in its variables holds no key, and a client that isn't this one
sends a word that opens nothing.
"""

import asyncio
import json
import logging
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import cache
from typing import Any
from uuid import uuid4
from weakref import WeakValueDictionary

import httpcore2
import httpx2

from apps.tenants.vault import Secret, VaultError
from apps.tenants.vault.masters import Unreachable

from .guard import Refused, Resolve, check_shape, look_up, permitted

log = logging.getLogger(__name__)

CONNECT_S = 5.0
MOST_OF_AN_ERROR = 64 * 1024  # bytes of its body that are read
LEAST_SECRET = 12  # characters: a shorter key, such as the word that Ollama wants, is in too many texts

WORD = re.compile(r"stand-in-[0-9a-f]{32}")
_stand_ins: WeakValueDictionary[str, "StandIn"] = WeakValueDictionary()


class StandIn(str):
    """A word in a key's place. `reveal` opens the key, the first time that it is sent."""

    _open: Callable[[], Awaitable[Secret]]
    _secret: Secret | None

    def __new__(cls, open_secret: Callable[[], Awaitable[Secret]]) -> "StandIn":
        made = super().__new__(cls, f"stand-in-{uuid4().hex}")
        made._open, made._secret = open_secret, None
        _stand_ins[str(made)] = made
        return made

    @classmethod
    def of(cls, secret: Secret) -> "StandIn":
        async def opened() -> Secret:
            return secret

        return cls(opened)

    async def reveal(self) -> Secret:
        """Raises VaultError."""
        if self._secret is None:
            self._secret = await self._open()
        return self._secret


def guarded_client(*, resolve: Resolve = look_up, tls: ssl.SSLContext | None = None) -> httpx2.AsyncClient:
    """A client for an SDK's `http_client`; the SDK closes it. Its connections belong to the event loop that uses it."""
    transport = GuardedTransport(resolve, tls or usual_tls())
    return httpx2.AsyncClient(transport=transport, follow_redirects=False, trust_env=False, timeout=None)


@cache
def usual_tls() -> ssl.SSLContext:
    return httpx2.create_ssl_context(trust_env=False)


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Looks a name up, checks every address it has, and connects to one of those. Certificates are checked for the
    name all the same: that is the connection's business, after this."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  (as httpcore2 calls it)
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        within_s = min(timeout or CONNECT_S, CONNECT_S)
        try:
            async with asyncio.timeout(within_s):
                addresses = await asyncio.to_thread(self._resolve, host, port)
            addresses = permitted(host.lower().rstrip("."), port, addresses)
        except (OSError, Refused) as error:  # TimeoutError is one
            raise httpcore2.ConnectError(str(error)) from None
        last: Exception = httpcore2.ConnectError(f"{host} has no address.")
        for address in addresses:
            try:
                return await self._inner.connect_tcp(address, port, within_s, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                last = error
        raise last

    async def connect_unix_socket(self, *args: Any, **kwargs: Any) -> httpcore2.AsyncNetworkStream:
        raise httpcore2.ConnectError("Sockets of this machine are nobody's provider.")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class GuardedTransport(httpx2.AsyncHTTPTransport):
    def __init__(self, resolve: Resolve, tls: ssl.SSLContext) -> None:
        super().__init__(verify=tls, trust_env=False)
        # httpx2 has no argument for it; a test connects, and fails if this no longer counts.
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls, network_backend=GuardedBackend(resolve), keepalive_expiry=5
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        failure: BaseException
        try:
            check_shape(str(request.url.copy_with(query=None, fragment=None)))
            return await self._send(request)
        except Refused as error:
            failure = httpx2.ConnectError(str(error), request=request)
        except VaultError as error:
            log.error("A workspace's key can't be opened: %s", error)
            return unopened(error, request)
        except BaseException as error:
            failure = bare(error)
        # Raised here: an exception remembers the frames it came through, and those below had the key.
        raise failure

    async def _send(self, request: httpx2.Request) -> httpx2.Response:
        stand_in = stand_in_of(request)
        if stand_in is None:
            return await super().handle_async_request(request)
        secret = await stand_in.reveal()
        response = await super().handle_async_request(with_key(request, stand_in, secret))
        scrub = Scrubber(secret, stand_in)
        if response.status_code < 400:
            assert isinstance(response.stream, httpx2.AsyncByteStream)
            headers = scrub.headers(response.headers)
            body = Scrubbed(response.stream, scrub)
            return httpx2.Response(response.status_code, headers=headers, stream=body, extensions=response.extensions)
        content = b""
        async for piece in response.aiter_raw():
            content += piece
            if len(content) > MOST_OF_AN_ERROR:
                break
        await response.aclose()
        headers = scrub.headers(response.headers)
        headers.pop("content-length", None)
        headers.pop("transfer-encoding", None)
        content = scrub(content[:MOST_OF_AN_ERROR]) + scrub.rest()
        return httpx2.Response(response.status_code, headers=headers, content=content, extensions=response.extensions)


def stand_in_of(request: httpx2.Request) -> StandIn | None:
    found = WORD.search(" ".join(request.headers.values()))
    return _stand_ins.get(found[0]) if found else None


def with_key(request: httpx2.Request, stand_in: str, secret: Secret) -> httpx2.Request:
    headers = [
        (name, value.replace(stand_in.encode(), secret.reveal().encode()))
        for name, value in request.headers.raw
        if name.lower() != b"accept-encoding"
    ]
    headers.append((b"accept-encoding", b"identity"))  # or what comes back couldn't be searched for the key
    return httpx2.Request(
        request.method, request.url, headers=headers, stream=request.stream, extensions=request.extensions
    )


def unopened(error: VaultError, request: httpx2.Request) -> httpx2.Response:
    """What SDKs understand of a key that isn't there: refused, or for a while not to be had."""
    kind = "api_error" if isinstance(error, Unreachable) else "authentication_error"
    said = {"type": "error", "error": {"type": kind, "message": "The workspace's key can't be opened."}}
    status = 503 if isinstance(error, Unreachable) else 401
    headers = {"content-type": "application/json"}
    return httpx2.Response(status, headers=headers, content=json.dumps(said).encode(), request=request)


def bare(error: BaseException) -> BaseException:
    """Without the frames it came through, without the errors before it, and without what a server answered."""
    if isinstance(error, httpx2.TransportError):
        is_quoting = not isinstance(error, httpx2.TimeoutException | httpx2.NetworkError)
        return type(error)(type(error).__name__ if is_quoting else str(error))
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


class Scrubber:
    """Puts the stand-in where the key is, also where a text was cut in two."""

    def __init__(self, secret: Secret, stand_in: str) -> None:
        self._secret, self._stand_in, self._held = secret, stand_in.encode(), b""
        self._is_worth_it = len(secret.reveal()) >= LEAST_SECRET

    def __call__(self, piece: bytes) -> bytes:
        if not self._is_worth_it:
            return piece
        text = self._replaced(self._held + piece)
        held = self._held_back(text)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def rest(self) -> bytes:
        rest, self._held = self._held, b""
        return rest

    def headers(self, headers: httpx2.Headers) -> httpx2.Headers:
        if not self._is_worth_it:
            return headers
        return httpx2.Headers([(name, self._replaced(value)) for name, value in headers.raw])

    def _replaced(self, text: bytes) -> bytes:
        return text.replace(self._secret.reveal().encode(), self._stand_in)

    def _held_back(self, text: bytes) -> int:
        """How many bytes at its end may be the beginning of the key."""
        secret = self._secret.reveal().encode()
        return next((n for n in range(min(len(secret) - 1, len(text)), 0, -1) if secret.startswith(text[-n:])), 0)


class Scrubbed(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, scrub: Scrubber) -> None:
        self._stream, self._scrub = stream, scrub

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = aiter(self._stream)
        failure: BaseException | None = None
        while failure is None:
            try:
                yield self._scrub(await anext(pieces))
            except StopAsyncIteration:
                yield self._scrub.rest()
                return
            except GeneratorExit:
                raise
            except BaseException as error:
                failure = bare(error)
        raise failure

    async def aclose(self) -> None:
        await self._stream.aclose()
