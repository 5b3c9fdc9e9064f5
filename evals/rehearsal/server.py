"""A server on the loopback that speaks OpenAI's chat completions for the rehearsal model."""

import contextlib
import json
import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from apps.runs.gateway.providers.base import Embedder

from .model import Rehearsal

MODEL = "rehearsal-1"
CHARS_PER_TOKEN = 4
CREATED = 0  # the same request gets the same bytes


@contextlib.contextmanager
def serving(embedder: Embedder | None = None) -> Iterator[str]:
    """Serves until the block ends, and yields the base URL for an SDK. Needs settings, unless an embedder is given."""
    if embedder is None:
        from apps.runs import chain

        embedder = chain.embedder()
    server = Server(Rehearsal(embedder))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="rehearsal")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Server(ThreadingHTTPServer):
    daemon_threads = True  # a client's open connection must not keep the process
    request_queue_size = 64

    def __init__(self, model: Rehearsal) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.model = model

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is nothing to tell; anything else is a mistake in here."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.path == "/v1/models":
            self.send(200, {"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "corbel"}]})
        else:
            self.refuse(404, "There is nothing here. Ask POST /v1/chat/completions.", "not_found")

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path != "/v1/chat/completions":
            self.refuse(404, "There is nothing here. Ask POST /v1/chat/completions.", "not_found")
            return
        try:
            asked = json.loads(raw)
            model, messages = (
                asked["model"],
                [{"role": each["role"], "content": str(each["content"])} for each in asked["messages"]],
            )
        except (ValueError, LookupError, TypeError):
            self.refuse(400, "Send a JSON object with model and messages.", "invalid_request")
            return
        if model != MODEL:
            self.refuse(404, f"The only model here is {MODEL}.", "model_not_found")
            return
        schema = ((asked.get("response_format") or {}).get("json_schema") or {}).get("schema")
        said = self.server.model.reply(messages, schema)
        self.answer(asked, messages, said)

    def answer(self, asked: dict[str, Any], messages: list[dict[str, str]], said: str) -> None:
        most = asked.get("max_completion_tokens") or asked.get("max_tokens")
        text = said[: most * CHARS_PER_TOKEN] if most else said
        reason = "stop" if text == said else "length"
        used = usage("".join(each["content"] for each in messages), text)
        if asked.get("stream"):
            with_usage = bool((asked.get("stream_options") or {}).get("include_usage"))
            self.stream(text, reason, used if with_usage else None)
            return
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": reason,
            "logprobs": None,
        }
        self.send(200, {**head("chat.completion"), "choices": [choice], "usage": used})

    def stream(self, text: str, reason: str, used: dict[str, int] | None) -> None:
        deltas = [
            {"role": "assistant", "content": ""},
            *({"content": piece} for piece in re.findall(r"\S+\s*|\s+", text)),
        ]
        events = [event([{"index": 0, "delta": delta, "finish_reason": None}]) for delta in deltas]
        events.append(event([{"index": 0, "delta": {}, "finish_reason": reason}]))
        if used:
            events.append(event([], usage=used))
        self.write(200, "text/event-stream", "".join([*events, "data: [DONE]\n\n"]).encode())

    def refuse(self, status: int, message: str, code: str) -> None:
        self.send(status, {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}})

    def send(self, status: int, body: dict[str, Any]) -> None:
        self.write(status, "application/json", json.dumps(body).encode())

    def write(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Says nothing: the runs are the log."""


def head(kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-rehearsal", "object": kind, "created": CREATED, "model": MODEL}


def event(choices: list[dict[str, Any]], **more: Any) -> str:
    return f"data: {json.dumps({**head('chat.completion.chunk'), 'choices': choices, **more})}\n\n"


def usage(asked: str, said: str) -> dict[str, int]:
    read, written = max(1, len(asked) // CHARS_PER_TOKEN), -(-len(said) // CHARS_PER_TOKEN)
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
