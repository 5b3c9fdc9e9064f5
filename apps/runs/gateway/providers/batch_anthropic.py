"""Anthropic's Message Batches API: all requests in one call, results as JSON Lines once it has ended.

https://docs.anthropic.com/en/docs/build-with-claude/batch-processing  https://docs.anthropic.com/en/api/creating-message-batches
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ..errors import Cancelled, ContentFiltered, Expired, GatewayError
from .anthropic import FINISH, AnthropicProvider, inclusive
from .batches import SEND_WITHIN_S, Batches, File, Line, Outcome
from .faults import fault

if TYPE_CHECKING:
    from anthropic.types.messages import MessageBatch

NEVER_ASKED: dict[str, type[GatewayError]] = {"expired": Expired, "canceled": Cancelled}
SKEW = timedelta(minutes=10)
READ_AT_MOST = 1_000  # of other files, when one is looked for


class AnthropicBatches(Batches[AnthropicProvider]):
    most_lines = 100_000
    most_bytes = 256_000_000

    async def submit(self, lines: Iterable[Line], *, label: str) -> File:
        client = await self.provider.client()
        requests = [
            {"custom_id": line.custom_id, "params": self.provider.body(line.request, self.target.model)}
            for line in lines
        ]
        sent = await self.asked(lambda: client.messages.batches.create(requests=requests), within_s=SEND_WITHIN_S)
        return self.file_of(sent)

    async def find(self, label: str, *, since: datetime, total: int) -> list[File]:
        """A batch has no label here, so every one of that time and size may be it: its results say whose it is."""
        client = await self.provider.client()

        async def looked() -> list[File]:
            found, read = [], 0
            async for batch in client.messages.batches.list(limit=100):
                read += 1
                if batch.created_at < since - SKEW or read > READ_AT_MOST:
                    break
                if (file := self.file_of(batch)).total == total:
                    found.append(file)
            return found

        return await self.surely(looked)

    async def poll(self, external_id: str) -> File:
        client = await self.provider.client()
        return self.file_of(await self.surely(lambda: client.messages.batches.retrieve(external_id)))

    async def cancel(self, external_id: str) -> None:
        client = await self.provider.client()
        await self.surely(lambda: client.messages.batches.cancel(external_id))

    def file_of(self, batch: MessageBatch) -> File:
        counts = batch.request_counts
        failed = counts.errored + counts.expired + counts.canceled
        has_ended = batch.processing_status == "ended"
        return File(
            external_id=batch.id,
            has_ended=has_ended,
            is_cancelled=has_ended and batch.cancel_initiated_at is not None,
            total=counts.processing + counts.succeeded + failed,
            succeeded=counts.succeeded,
            failed=failed,
            created_at=batch.created_at,
            expires_at=batch.expires_at,
            parts=(batch.id,) if has_ended else (),
        )

    async def pieces(self, client: Any, part: str) -> AsyncGenerator[bytes, None]:
        from anthropic import AsyncStream
        from anthropic._decoders.jsonl import AsyncJSONLDecoder

        # At the address that we know, not at the one that the answer names: the key is sent along.
        decoder = await client.get(
            f"/v1/messages/batches/{part}/results",
            cast_to=AsyncJSONLDecoder[object],
            stream=True,
            stream_cls=AsyncStream[object],
        )
        try:
            async for piece in decoder.http_response.aiter_bytes():
                yield piece
        finally:
            await decoder.close()

    def outcome(self, line: dict[str, Any]) -> Outcome | None:
        custom_id, result = line["custom_id"], line["result"]
        if never_asked := NEVER_ASKED.get(result["type"]):
            return Outcome(custom_id, error=never_asked(self.target))
        if result["type"] == "errored":
            said = result["error"]["error"]
            failure = fault(
                self.target,
                status=None,
                names={said["type"]},
                message=said.get("message") or "",
                request_id=result["error"].get("request_id") or "",
                secret=self.provider._api_key,
            )
            return Outcome(custom_id, error=failure)
        return self.answer(custom_id, result["message"])

    def answer(self, custom_id: str, message: dict[str, Any]) -> Outcome:
        text = "".join(block["text"] for block in message["content"] if block["type"] == "text")
        finish = FINISH.get(message.get("stop_reason") or "", "stop")
        usage, request_id = usage_of(message.get("usage") or {}), message.get("id") or ""
        if finish == "filter" and not text:
            return Outcome(custom_id, error=ContentFiltered(self.target, usage=usage, request_id=request_id))
        reply = self.reply(text, model=message.get("model") or "", usage=usage, finish=finish, request_id=request_id)
        return Outcome(custom_id, reply)


def usage_of(said: dict[str, Any]) -> Any:
    if not said.get("output_tokens"):
        return None
    names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    counts = Counter({name: said.get(name) or 0 for name in names})
    counts["1h"] = (said.get("cache_creation") or {}).get("ephemeral_1h_input_tokens") or 0
    counts["thinking"] = (said.get("output_tokens_details") or {}).get("thinking_tokens") or 0
    return inclusive(counts)
