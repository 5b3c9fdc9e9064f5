"""A small provider that speaks the wire formats of OpenAI and Anthropic, and fails exactly when told.

A test writes a script for a model; the same script works for both formats:

    stub.script("slow", Say("Hel"), Say("lo"), Finish())

Each request is kept as a Call, which knows when its script has begun and when the client hung up. The server
runs in a thread with sockets of its own, so that a test can wait for both without sleeping.
"""

import asyncio
import contextlib
import json
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

# What every finished answer used, in each provider's own counting. Said once:
# 120 tokens in, of which 100 came from the cache and 5 were written to it; 7 out, of which 3 were thoughts.
OPENAI_USAGE = {
    "prompt_tokens": 120,
    "completion_tokens": 7,
    "total_tokens": 127,
    "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 5},
    "completion_tokens_details": {"reasoning_tokens": 3},
}
ANTHROPIC_USAGE = {
    "input_tokens": 15,
    "cache_read_input_tokens": 100,
    "cache_creation_input_tokens": 5,
    "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 2},
    "output_tokens": 1,
}
ANTHROPIC_FINAL_USAGE = {"output_tokens": 7, "output_tokens_details": {"thinking_tokens": 3}}


@dataclass(frozen=True)
class Refuse:
    """An HTTP error instead of a stream."""

    status: int
    kind: str = ""
    code: str | None = None
    message: str = "no"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Json:
    """A whole answer instead of a stream."""

    body: dict[str, Any]


@dataclass(frozen=True)
class Say:
    text: str


@dataclass(frozen=True)
class Think:
    text: str


@dataclass(frozen=True)
class Finish:
    """The end of a good answer: reason, usage, last event, end of the response unless it stays open."""

    reason: str = "stop"
    usage: bool = True
    close: bool = True
    counts: dict[str, Any] | None = None  # instead of OpenAI's usual


@dataclass(frozen=True)
class Fail:
    """An error event inside the stream."""

    kind: str
    message: str = "no"


@dataclass(frozen=True)
class Wait:
    """Silence, for a drip."""

    seconds: float


@dataclass(frozen=True)
class Stall:
    """Silence until the client hangs up."""


@dataclass(frozen=True)
class Cut:
    """The connection breaks."""


@dataclass(frozen=True)
class EndEarly:
    """The response ends as HTTP should, but the answer doesn't."""


@dataclass(frozen=True)
class Garbage:
    """An event whose data is this."""

    data: str = '{"id": "x", "cho'


Step = Refuse | Json | Say | Think | Finish | Fail | Wait | Stall | Cut | EndEarly | Garbage


@dataclass
class Call:
    """One request: what was asked, and what became of the connection."""

    connection: int
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    has_begun: threading.Event = field(default_factory=threading.Event)
    was_hung_up: threading.Event = field(default_factory=threading.Event)


class Stub:
    """The server. `openai_url` and `anthropic_url` are what the SDKs want as base_url."""

    def __init__(self) -> None:
        self._connections: set[asyncio.Task[None]] = set()
        self.forget()

    def forget(self) -> None:
        """As if nothing had been asked or scripted yet."""
        self.scripts: dict[str, tuple[Step, ...]] = {}
        self.calls: list[Call] = []
        self._arrivals: queue.SimpleQueue[Call] = queue.SimpleQueue()

    def next_call(self) -> Call:
        """Waits for a request. Not for an event loop's thread."""
        return self._arrivals.get(timeout=10)

    def script(self, model: str, *steps: Step) -> str:
        self.scripts[model] = steps
        return model

    def script_without_schema(self, model: str, *steps: Step) -> None:
        """What follows instead when the request has no response_format."""
        self.scripts[f"{model} in words"] = steps

    def script_for(self, body: dict[str, Any]) -> tuple[Step, ...]:
        in_words = self.scripts.get(f"{body['model']} in words")
        return in_words if in_words and "response_format" not in body else self.scripts[body["model"]]

    def base_url(self, provider: str) -> str:
        return f"http://127.0.0.1:{self.port}/v1" if provider == "openai" else f"http://127.0.0.1:{self.port}"

    @contextlib.contextmanager
    def serving(self) -> Iterator["Stub"]:
        loop = asyncio.new_event_loop()
        started = threading.Event()

        async def serve() -> None:
            server = await loop.create_server(
                lambda: asyncio.StreamReaderProtocol(Reader(loop=loop), self._connection, loop=loop), "127.0.0.1", 0
            )
            self.port = server.sockets[0].getsockname()[1]
            self._stop = asyncio.Event()
            started.set()
            await self._stop.wait()
            server.close()
            for task in self._connections:
                task.cancel()
            await asyncio.gather(*self._connections)

        thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), name="stub")
        thread.start()
        started.wait()
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(self._stop.set)
            thread.join()
            loop.close()

    async def _connection(self, reader: "Reader", writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._connections.add(task)  # the loop itself would let a stalled one be collected as garbage
        task.add_done_callback(self._connections.discard)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                call = await read_request(reader, writer.get_extra_info("peername")[1])
                reader.on_end = call.was_hung_up.set
                self.calls.append(call)
                self._arrivals.put(call)
                await Answer(call, reader, writer).play(self.script_for(call.body))
        writer.close()


class Reader(asyncio.StreamReader):
    """A reader that says when the other side hung up, without reading what comes next."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.ended = asyncio.Event()
        self.on_end: Callable[[], None] = self.ended.set

    def feed_eof(self) -> None:
        super().feed_eof()
        self.end()

    def set_exception(self, exception: Exception) -> None:
        super().set_exception(exception)
        self.end()

    def end(self) -> None:
        self.ended.set()
        self.on_end()


async def read_request(reader: asyncio.StreamReader, connection: int) -> Call:
    head = await reader.readuntil(b"\r\n\r\n")
    request_line, *lines = head.decode().strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Call(connection, request_line.split()[1], headers, json.loads(body))


class Answer:
    """Plays one script on one connection."""

    def __init__(self, call: Call, reader: Reader, writer: asyncio.StreamWriter) -> None:
        self.call = call
        self.reader = reader
        self.writer = writer
        self.wire = AnthropicWire(call) if call.path.endswith("/messages") else OpenAIWire(call)

    async def play(self, steps: tuple[Step, ...]) -> None:
        first = steps[0]
        if isinstance(first, Refuse):
            await self.send_json(
                f"{first.status} No", self.wire.error(first.kind, first.message, first.code), *first.headers
            )
            return
        if isinstance(first, Json):
            await self.send_json("200 OK", first.body)
            return
        await self.send_head("200 OK", ("content-type", "text/event-stream"), ("transfer-encoding", "chunked"))
        await self.send_events(self.wire.begin())
        for step in steps:
            await self.perform(step)

    async def perform(self, step: Step) -> None:
        if isinstance(step, Wait):
            await asyncio.sleep(step.seconds)
        elif isinstance(step, Stall):
            self.call.has_begun.set()
            await self.reader.ended.wait()
        elif isinstance(step, Cut):
            self.writer.transport.abort()
            raise ConnectionResetError
        elif isinstance(step, EndEarly):
            await self.send(b"0\r\n\r\n")
        else:
            await self.send_events(self.wire.events(step))
            self.call.has_begun.set()
            if isinstance(step, Fail) or (isinstance(step, Finish) and step.close):
                await self.send(b"0\r\n\r\n")

    async def send_json(self, status: str, body: dict[str, Any], *headers: tuple[str, str]) -> None:
        data = json.dumps(body).encode()
        await self.send_head(status, ("content-type", "application/json"), ("content-length", str(len(data))), *headers)
        await self.send(data)

    async def send_head(self, status: str, *headers: tuple[str, str]) -> None:
        both = (("x-request-id", "req-1"), ("request-id", "req-1"))
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in (*both, *headers))]
        await self.send("\r\n".join([*lines, "", ""]).encode())

    async def send_events(self, events: list[bytes]) -> None:
        for event in events:
            await self.send(f"{len(event):x}\r\n".encode() + event + b"\r\n")

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()


class OpenAIWire:
    def __init__(self, call: Call) -> None:
        self.model = call.body["model"]
        self.wants_usage = bool(call.body.get("stream_options", {}).get("include_usage"))

    def begin(self) -> list[bytes]:
        return [self.chunk([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}])]

    def events(self, step: Step) -> list[bytes]:
        match step:
            case Say(text):
                return [self.chunk([{"index": 0, "delta": {"content": text}, "finish_reason": None}])]
            case Think(text):
                return [self.chunk([{"index": 0, "delta": {"reasoning_content": text}, "finish_reason": None}])]
            case Finish(reason, usage, counts=counts):
                last = [self.chunk([{"index": 0, "delta": {}, "finish_reason": reason}])]
                if usage and self.wants_usage:
                    last.append(self.chunk([], usage=counts or OPENAI_USAGE))
                return [*last, b"data: [DONE]\n\n"]
            case Fail(kind, message):
                return [self.event(self.error(kind, message))]
            case Garbage(data):
                return [f"data: {data}\n\n".encode()]
        raise AssertionError(step)

    def chunk(self, choices: list[Any], **more: Any) -> bytes:
        same = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": f"{self.model}-2026"}
        return self.event({**same, "choices": choices, **more})

    def event(self, data: dict[str, Any]) -> bytes:
        return f"data: {json.dumps(data)}\n\n".encode()

    def error(self, kind: str, message: str, code: str | None = None) -> dict[str, Any]:
        return {"error": {"message": message, "type": kind or "server_error", "param": None, "code": code}}


class AnthropicWire:
    REASONS = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}

    def __init__(self, call: Call) -> None:
        self.model = call.body["model"]

    def begin(self) -> list[bytes]:
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": f"{self.model}-2026",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": ANTHROPIC_USAGE,
        }
        block = {"type": "text", "text": ""}
        return [
            self.event("message_start", message=message),
            self.event("content_block_start", index=0, content_block=block),
            self.event("ping"),
        ]

    def events(self, step: Step) -> list[bytes]:
        match step:
            case Say(text):
                return [self.event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})]
            case Think(text):
                delta = {"type": "thinking_delta", "thinking": text}
                return [self.event("content_block_delta", index=0, delta=delta)]
            case Finish(reason, usage):
                delta = {"stop_reason": self.REASONS[reason], "stop_sequence": None}
                return [
                    self.event("content_block_stop", index=0),
                    self.event("message_delta", delta=delta, usage=ANTHROPIC_FINAL_USAGE if usage else {}),
                    self.event("message_stop"),
                ]
            case Fail(kind, message):
                return [self.event("error", error={"type": kind, "message": message})]
            case Garbage(data):
                return [f"event: content_block_delta\ndata: {data}\n\n".encode()]
        raise AssertionError(step)

    def event(self, kind: str, **data: Any) -> bytes:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()

    def error(self, kind: str, message: str, code: str | None = None) -> dict[str, Any]:
        return {"type": "error", "error": {"type": kind or "api_error", "message": message}, "request_id": "req-1"}
