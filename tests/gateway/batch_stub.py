"""A provider of batches that speaks OpenAI's and Anthropic's wire formats, and does with each line what a test says.

    stub.says("Lisbon", Fails(400, "bad_request"))     a line whose prompt has that word
    stub.end("expired")                                every open file ends so; until then it is under way
    stub.next("create", Breaks())                      the next request of that kind is done, and nothing said of it

A line without a script is answered with "Said: " and the end of its prompt. Files are kept, as are requests.
"""

import contextlib
import json
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from .stub import OPENAI_USAGE, Refuse

# The same counts as OpenAI's: 120 tokens in, of which 100 were cached and 5 written; 7 out, of which 3 were thoughts.
ANTHROPIC_USAGE = {
    "input_tokens": 15,
    "cache_read_input_tokens": 100,
    "cache_creation_input_tokens": 5,
    "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 2},
    "output_tokens": 7,
    "output_tokens_details": {"thinking_tokens": 3},
}
RESULTS_AT = "https://elsewhere.example/results"  # where our key must not be sent


@dataclass(frozen=True)
class Says:
    text: str
    reason: str = "stop"
    usage: bool = True


@dataclass(frozen=True)
class Fails:
    """An error in the line's place."""

    status: int
    kind: str
    message: str = "no"


@dataclass(frozen=True)
class Expires:
    """The day was over before this line was asked, or it was cancelled."""

    how: str = "expired"


@dataclass(frozen=True)
class Vanishes:
    """Nothing is ever said of it."""

    is_counted: bool = False  # among what succeeded


@dataclass(frozen=True)
class Raw:
    """What stands in the results instead of its line."""

    text: str


LineScript = Says | Fails | Expires | Vanishes | Raw


@dataclass(frozen=True)
class Breaks:
    """Does what it was asked, and breaks the connection instead of saying so."""


@dataclass(frozen=True)
class Half:
    """Sends the first bytes of what it has, then breaks the connection."""

    length: int


@dataclass(frozen=True)
class Holds:
    """Sends the first bytes of what it has, then nothing until it is let go or nobody listens."""

    length: int
    let_go: threading.Event = field(default_factory=threading.Event)


@dataclass
class Kept:
    """A file as the provider has it. `lines` are (custom_id, prompt, body)."""

    id: str
    provider: str
    lines: list[tuple[str, str, dict[str, Any]]]
    metadata: dict[str, str] = field(default_factory=dict)
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    status: str = "in_progress"
    is_cancelled: bool = False
    errors: list[dict[str, Any]] = field(default_factory=list)


class BatchStub:
    """The server. `base_url(provider)` is what its SDK wants; `before` is called with each request's name."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.scripts: list[tuple[str, LineScript]] = []
        self.files: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
        self.kept: dict[str, Kept] = {}
        self.nexts: dict[str, list[Any]] = defaultdict(list)
        self.asked: list[str] = []
        self.keys: list[str] = []
        self.before: Callable[[str], None] = lambda name: None

    def says(self, word: str, script: LineScript) -> None:
        self.scripts.insert(0, (word, script))

    def next(self, name: str, *steps: Any) -> None:
        self.nexts[name] += steps

    def end(self, status: str = "completed", *, errors: list[dict[str, Any]] | None = None) -> None:
        for kept in self.kept.values():
            if kept.status in ("in_progress", "cancelling"):
                kept.status, kept.errors = status, errors or []

    def script_of(self, kept: Kept, prompt: str) -> LineScript:
        for word, script in self.scripts:
            if word in prompt:
                return script
        if kept.status in ("expired", "cancelled"):
            return Expires(kept.status)
        return Says(f"Said: {prompt[-60:]}")

    def base_url(self, provider: str) -> str:
        return f"http://127.0.0.1:{self.port}" + ("/v1" if provider == "openai" else "")

    @contextlib.contextmanager
    def serving(self) -> Iterator["BatchStub"]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"stub": self}))
        server.daemon_threads = True
        self.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, name="batch stub")
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stub: BatchStub

    ROUTES = (
        ("moderate", "POST", r"/v1/moderations"),
        ("upload", "POST", r"/v1/files"),
        ("create", "POST", r"/v1/batches"),
        ("page", "GET", r"/v1/batches"),
        ("retrieve", "GET", r"/v1/batches/([^/]+)"),
        ("cancel", "POST", r"/v1/batches/([^/]+)/cancel"),
        ("content", "GET", r"/v1/files/([^/]+)/content"),
        ("create", "POST", r"/v1/messages/batches"),
        ("page", "GET", r"/v1/messages/batches"),
        ("retrieve", "GET", r"/v1/messages/batches/([^/]+)"),
        ("cancel", "POST", r"/v1/messages/batches/([^/]+)/cancel"),
        ("content", "GET", r"/v1/messages/batches/([^/]+)/results"),
    )

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.answer()

    do_POST = do_GET  # noqa: N815

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0)) or self.chunks()
        path = urlsplit(self.path).path
        name, match = next(
            (name, match)
            for name, method, pattern in self.ROUTES
            if method == self.command and (match := re.fullmatch(pattern, path))
        )
        wire = AnthropicWire if "/messages/" in path else OpenAIWire
        self.stub.asked.append(name)
        self.stub.keys.append(self.headers.get("authorization") or self.headers.get("x-api-key") or "")
        self.stub.before(name)
        step = self.stub.nexts[name].pop(0) if self.stub.nexts[name] else None
        if isinstance(step, Refuse):
            self.send(step.status, wire.error(step.kind, step.message, step.code), *step.headers)
            return
        said = getattr(wire, name)(self, body, *match.groups())
        if isinstance(step, Breaks):
            self.close_connection = True
            self.connection.close()
        elif said is None:
            self.send(404, wire.error("not_found_error", "no such batch", None))
        elif isinstance(said, bytes):
            self.send_bytes(said, step)
        else:
            self.send(200, said)

    def chunks(self) -> bytes:
        if self.headers.get("transfer-encoding") != "chunked":
            return b""
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def send(self, status: int, said: dict[str, Any], *headers: tuple[str, str]) -> None:
        data = json.dumps(said).encode()
        self.send_response(status)
        for name, value in (("content-type", "application/json"), ("content-length", str(len(data))), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def send_bytes(self, data: bytes, step: Any) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/binary")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: step.length] if isinstance(step, Half | Holds) else data)
        if isinstance(step, Holds):
            self.wfile.flush()
            step.let_go.wait(60)
        self.close_connection = isinstance(step, Half | Holds)

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}

    def own(self, provider: str, after: str) -> list[Kept]:
        """Those of the provider, the newest first, after the one with that id."""
        found = sorted((k for k in self.stub.kept.values() if k.provider == provider), key=lambda k: k.created_at)[::-1]
        ids = [kept.id for kept in found]
        return found[ids.index(after) + 1 :] if after else found


def as_jsonl(lines: list[Any]) -> bytes:
    return "".join(
        line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) + "\n" for line in lines
    ).encode()


def make_id(kind: str) -> str:
    return f"{kind}_{time.monotonic_ns():x}"


class OpenAIWire:
    @staticmethod
    def error(kind: str, message: str, code: str | None) -> dict[str, Any]:
        return {"error": {"message": message, "type": kind, "param": None, "code": code}}

    @staticmethod
    def upload(handler: Handler, body: bytes) -> dict[str, Any]:
        head = f"content-type: {handler.headers['content-type']}\r\n\r\n".encode()
        parts = {
            part.get_param("name", header="content-disposition"): part.get_payload(decode=True)
            for part in BytesParser().parsebytes(head + body).get_payload()
        }
        assert parts["purpose"] == b"batch"
        lines = [json.loads(line) for line in parts["file"].split(b"\n") if line]
        for line in lines:
            assert (line["method"], line["url"]) == ("POST", "/v1/chat/completions") and "stream" not in line["body"]
        prompts = [(line["custom_id"], line["body"]["messages"][-1]["content"], line["body"]) for line in lines]
        handler.stub.files[name := make_id("file")] = prompts
        return {
            "id": name,
            "object": "file",
            "bytes": len(body),
            "created_at": 1,
            "filename": "x",
            "purpose": "batch",
            "status": "processed",
        }

    @staticmethod
    def moderate(handler: Handler, body: bytes) -> dict[str, Any]:
        """Objects to texts with the word "forbidden"."""
        objects = "forbidden" in json.loads(body)["input"]
        said = {"flagged": objects, "categories": {"violence": objects}, "category_scores": {}}
        return {"id": "modr-1", "model": "omni", "results": [said | {"category_applied_input_types": {}}]}

    @classmethod
    def create(cls, handler: Handler, body: bytes) -> dict[str, Any]:
        asked = json.loads(body)
        assert (asked["endpoint"], asked["completion_window"]) == ("/v1/chat/completions", "24h")
        kept = Kept(make_id("batch"), "openai", handler.stub.files[asked["input_file_id"]], asked["metadata"])
        handler.stub.kept[kept.id] = kept
        return cls.said(handler.stub, kept)

    @classmethod
    def page(cls, handler: Handler, _: bytes) -> dict[str, Any]:
        found = [cls.said(handler.stub, kept) for kept in handler.own("openai", handler.query.get("after", ""))]
        return {"object": "list", "data": found[:2], "has_more": len(found) > 2}

    @classmethod
    def retrieve(cls, handler: Handler, _: bytes, name: str) -> dict[str, Any] | None:
        kept = handler.stub.kept.get(name)
        return cls.said(handler.stub, kept) if kept else None

    @classmethod
    def cancel(cls, handler: Handler, _: bytes, name: str) -> dict[str, Any] | None:
        if (kept := handler.stub.kept.get(name)) and kept.status == "in_progress":
            kept.status = "cancelling"
        return cls.retrieve(handler, b"", name)

    @classmethod
    def said(cls, stub: BatchStub, kept: Kept) -> dict[str, Any]:
        output, errors = cls.results(stub, kept)
        has_ended = kept.status in ("completed", "expired", "cancelled")
        counted = sum(
            isinstance(s, Vanishes) and s.is_counted for s in (stub.script_of(kept, p) for _, p, _ in kept.lines)
        )
        counts = {"total": len(kept.lines), "completed": len(output) + counted, "failed": len(errors)}
        return {
            "id": kept.id,
            "object": "batch",
            "endpoint": "/v1/chat/completions",
            "input_file_id": "file_1",
            "completion_window": "24h",
            "status": kept.status,
            "created_at": int(kept.created_at.timestamp()),
            "expires_at": int((kept.created_at + timedelta(days=1)).timestamp()),
            "output_file_id": f"{kept.id}-output" if has_ended and output else None,
            "error_file_id": f"{kept.id}-errors" if has_ended and errors else None,
            "errors": {"object": "list", "data": kept.errors} if kept.errors else None,
            "request_counts": counts if has_ended else {"total": len(kept.lines), "completed": 0, "failed": 0},
            "metadata": kept.metadata,
        }

    @classmethod
    def content(cls, handler: Handler, _: bytes, name: str) -> bytes | None:
        batch, _, part = name.rpartition("-")
        if not (kept := handler.stub.kept.get(batch)):
            return None
        output, errors = cls.results(handler.stub, kept)
        return as_jsonl(output if part == "output" else errors)

    @classmethod
    def results(cls, stub: BatchStub, kept: Kept) -> tuple[list[Any], list[Any]]:
        output, errors = [], []
        for custom_id, prompt, body in kept.lines:
            line = {"id": make_id("batch_req"), "custom_id": custom_id, "response": None, "error": None}
            match stub.script_of(kept, prompt):
                case Says(text, reason, usage):
                    message = {"role": "assistant", "content": text, "refusal": None}
                    said = {
                        "id": "chatcmpl-1",
                        "object": "chat.completion",
                        "model": f"{body['model']}-2026",
                        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
                        "usage": OPENAI_USAGE if usage else None,
                    }
                    output.append(line | {"response": {"status_code": 200, "request_id": "req-1", "body": said}})
                case Fails(status, kind, message):
                    said = cls.error(kind, message, kind)
                    errors.append(line | {"response": {"status_code": status, "request_id": "req-1", "body": said}})
                case Expires(how):
                    errors.append(line | {"error": {"code": f"batch_{how}", "message": "It was too late."}})
                case Raw(text):
                    output.append(text + "\n")
        return output, errors


class AnthropicWire:
    REASONS = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}
    KINDS = {"expired": "expired", "cancelled": "canceled"}

    @staticmethod
    def error(kind: str, message: str, _: str | None) -> dict[str, Any]:
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req-1"}

    @classmethod
    def create(cls, handler: Handler, body: bytes) -> dict[str, Any]:
        requests = json.loads(body)["requests"]
        for line in requests:
            assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", line["custom_id"]) and "stream" not in line["params"]
        lines = [(line["custom_id"], line["params"]["messages"][-1]["content"], line["params"]) for line in requests]
        kept = Kept(make_id("msgbatch"), "anthropic", lines)
        handler.stub.kept[kept.id] = kept
        return cls.said(handler.stub, kept)

    @classmethod
    def page(cls, handler: Handler, _: bytes) -> dict[str, Any]:
        found = [cls.said(handler.stub, kept) for kept in handler.own("anthropic", handler.query.get("after_id", ""))]
        page = found[:2]
        ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": None, "last_id": None}
        return {"data": page, "has_more": len(found) > 2, **ends}

    @classmethod
    def retrieve(cls, handler: Handler, _: bytes, name: str) -> dict[str, Any] | None:
        kept = handler.stub.kept.get(name)
        return cls.said(handler.stub, kept) if kept else None

    @classmethod
    def cancel(cls, handler: Handler, _: bytes, name: str) -> dict[str, Any] | None:
        if (kept := handler.stub.kept.get(name)) and kept.status == "in_progress":
            kept.status, kept.is_cancelled = "cancelling", True
        return cls.retrieve(handler, b"", name)

    @classmethod
    def said(cls, stub: BatchStub, kept: Kept) -> dict[str, Any]:
        is_open = kept.status in ("in_progress", "cancelling")
        counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
        for _, prompt, _ in kept.lines:
            counts["processing" if is_open else cls.kind(stub.script_of(kept, prompt))] += 1
        created = kept.created_at.isoformat()
        return {
            "id": kept.id,
            "type": "message_batch",
            "processing_status": {"in_progress": "in_progress", "cancelling": "canceling"}.get(kept.status, "ended"),
            "request_counts": counts,
            "created_at": created,
            "expires_at": (kept.created_at + timedelta(days=1)).isoformat(),
            "ended_at": None if is_open else created,
            "cancel_initiated_at": created if kept.is_cancelled or kept.status == "cancelled" else None,
            "archived_at": None,
            "results_url": None if is_open else RESULTS_AT,
        }

    @classmethod
    def kind(cls, script: LineScript) -> str:
        match script:
            case Fails():
                return "errored"
            case Expires(how):
                return cls.KINDS[how]
            case Vanishes(is_counted):
                return "succeeded" if is_counted else "errored"
        return "succeeded"

    @classmethod
    def content(cls, handler: Handler, _: bytes, name: str) -> bytes | None:
        kept = handler.stub.kept.get(name)
        if kept is None:
            return None
        lines: list[Any] = []
        for custom_id, prompt, body in kept.lines:
            match handler.stub.script_of(kept, prompt):
                case Says(text, reason, usage):
                    message = {
                        "id": "msg_1",
                        "type": "message",
                        "role": "assistant",
                        "model": f"{body['model']}-2026",
                        "content": [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": text}],
                        "stop_reason": cls.REASONS[reason],
                        "usage": ANTHROPIC_USAGE if usage else {},
                    }
                    result = {"type": "succeeded", "message": message}
                case Fails(_, kind, said):
                    result = {"type": "errored", "error": cls.error(kind, said, None)}
                case Expires(how):
                    result = {"type": cls.KINDS[how]}
                case Raw(text):
                    lines.append(text + "\n")
                    continue
                case _:
                    continue
            lines.append({"custom_id": custom_id, "result": result})
        return as_jsonl(lines)
