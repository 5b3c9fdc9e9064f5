"""A model that answers at once, whole or streamed, in OpenAI's wire format. A bare ASGI application."""

import json
from typing import Any

USAGE = {"prompt_tokens": 80, "completion_tokens": 6, "total_tokens": 86}
HEAD = {"id": "chatcmpl-zero", "created": 0, "model": "zero"}
PIECES = ("Hello ", "from ", "the ", "stub.")


def chunk(delta: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {**HEAD, "object": "chat.completion.chunk", "choices": [choice]}


WHOLE = json.dumps(
    {
        **HEAD,
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "".join(PIECES)},
                "finish_reason": "stop",
                "logprobs": None,
            }
        ],
        "usage": USAGE,
    }
).encode()
EVENTS = [
    *(chunk({"content": piece}) for piece in PIECES),
    chunk({}, "stop"),
    {**HEAD, "object": "chat.completion.chunk", "choices": [], "usage": USAGE},
]
STREAMED = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in EVENTS) + b"data: [DONE]\n\n"


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    is_streamed = b'"stream":true' in body.replace(b" ", b"")
    content, kind = (STREAMED, b"text/event-stream") if is_streamed else (WHOLE, b"application/json")
    headers = [(b"content-type", kind), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})
