"""The provider of the gateway's tests, which lists its models as well, and looks at the key it is sent.

It is reached at 127.0.0.1, as an operator has permitted.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

MODELS = ["model-a", "model-b", "embed-1"]


class Provider(ThreadingHTTPServer):
    """`keys` are those it takes. `faults` are what it does at a path instead of answering: a status, or a deed."""

    daemon_threads = True

    def __init__(self, *keys: str) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.keys = set(keys)
        self.seen: list[tuple[str, str]] = []
        self.faults: dict[str, Any] = {}
        self.lists = True

    @property
    def openai_url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    @property
    def anthropic_url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    server: Provider
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.reply({})

    def do_POST(self) -> None:
        self.reply(json.loads(self.rfile.read(int(self.headers["content-length"]))))

    def reply(self, asked: dict[str, Any]) -> None:
        key = self.headers.get("x-api-key") or self.headers.get("authorization", "").removeprefix("Bearer ")
        path = urlsplit(self.path).path
        self.server.seen.append((path, key))
        fault = self.server.faults.get(asked.get("model", path))
        if key not in self.server.keys:
            self.send_json(401, {"error": {"type": "authentication_error", "message": f"Incorrect API key: {key}"}})
        elif callable(fault):
            fault(self)
        elif fault:
            self.send_json(fault, {"error": {"type": "error", "message": f"You sent {key}"}})
        elif path.endswith("/models"):
            listed = [{"id": name, "type": "model", "object": "model", "created": 1} for name in MODELS]
            self.send_json(*((200, {"object": "list", "data": listed}) if self.server.lists else (404, {})))
        elif asked["model"] not in MODELS:
            self.send_json(404, {"error": {"type": "not_found_error", "message": "no such model"}})
        else:
            self.stream(anthropic() if path.endswith("/messages") else openai(asked["model"]))

    def send_json(self, status: int, said: dict[str, Any]) -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, body: str) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *args: Any) -> None:
        pass


def openai(model: str) -> str:
    same = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": model}
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    chunks = [
        {**same, "choices": [{"index": 0, "delta": {"content": "OK."}, "finish_reason": None}]},
        {**same, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {**same, "choices": [], "usage": usage},
    ]
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"


def anthropic() -> str:
    usage = {"input_tokens": 3, "output_tokens": 1}
    message = {"id": "1", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": usage}
    events = [
        {"type": "message_start", "message": {**message, "stop_reason": None, "stop_sequence": None}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "OK."}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": usage},
        {"type": "message_stop"},
    ]
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)


@contextmanager
def serving(*keys: str) -> Iterator[Provider]:
    with Provider(*keys) as provider:
        thread = threading.Thread(target=provider.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield provider
        provider.shutdown()
        thread.join()
