"""OpenAI's Batch API: a file of JSON Lines is uploaded, and a batch made of it.

https://platform.openai.com/docs/guides/batch  https://platform.openai.com/docs/api-reference/batch
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ..errors import Cancelled, ContentFiltered, Expired, GatewayError, RateLimited
from .batches import SEND_WITHIN_S, Batches, File, Line, Outcome
from .faults import fault, redacted
from .openai import FINISH, OpenAIProvider, inclusive, message_of

if TYPE_CHECKING:
    from openai.types import Batch, BatchError

ENDPOINT = "/v1/chat/completions"
LABEL = "corbel"  # in a batch's metadata
ENDED = {"completed", "failed", "expired", "cancelled"}
NEVER_ASKED: dict[str, type[GatewayError]] = {"batch_expired": Expired, "batch_cancelled": Cancelled}
FULL = "token_limit_exceeded"  # so much waits already that no more is taken
SKEW = timedelta(minutes=10)
READ_AT_MOST = 1_000  # of other files, when one is looked for


class OpenAIBatches(Batches[OpenAIProvider]):
    most_lines = 50_000
    most_bytes = 200_000_000

    async def submit(self, lines: Iterable[Line], *, label: str) -> File:
        client = await self.provider.client()
        content = b"".join(map(self.encode, lines))
        # A file that no batch is made of costs nothing, and is gone in a month.
        uploaded = await self.surely(
            lambda: client.files.create(file=("batch.jsonl", content, "application/jsonl"), purpose="batch"),
            within_s=SEND_WITHIN_S,
        )
        return self.file_of(
            await self.asked(
                lambda: client.batches.create(
                    input_file_id=uploaded.id, endpoint=ENDPOINT, completion_window="24h", metadata={LABEL: label}
                )
            )
        )

    def encode(self, line: Line) -> bytes:
        body = self.provider.body(line.request, self.target.model)
        said = {"custom_id": line.custom_id, "method": "POST", "url": ENDPOINT, "body": body}
        return json.dumps(said, ensure_ascii=False).encode("utf-8", "replace") + b"\n"

    async def find(self, label: str, *, since: datetime, total: int) -> list[File]:
        client = await self.provider.client()

        async def looked() -> list[File]:
            read = 0
            async for batch in client.batches.list(limit=100):
                read += 1
                if at(batch.created_at) < since - SKEW or read > READ_AT_MOST:
                    break
                if (batch.metadata or {}).get(LABEL) == label:
                    return [self.file_of(batch)]
            return []

        return await self.surely(looked)

    async def poll(self, external_id: str) -> File:
        client = await self.provider.client()
        return self.file_of(await self.surely(lambda: client.batches.retrieve(external_id)))

    async def cancel(self, external_id: str) -> None:
        client = await self.provider.client()
        await self.surely(lambda: client.batches.cancel(external_id))

    def file_of(self, batch: Batch) -> File:
        counts = batch.request_counts
        errors = (batch.errors.data if batch.errors else None) or []
        return File(
            external_id=batch.id,
            has_ended=batch.status in ENDED,
            is_cancelled=batch.status == "cancelled",
            total=counts.total if counts else 0,
            succeeded=counts.completed if counts else 0,
            failed=counts.failed if counts else 0,
            created_at=at(batch.created_at),
            expires_at=at(batch.expires_at) if batch.expires_at else None,
            failure=self.failure(errors) if batch.status == "failed" else None,
            parts=tuple(part for part in (batch.output_file_id, batch.error_file_id) if part),
        )

    def failure(self, errors: list[BatchError]) -> GatewayError:
        first = errors[0] if errors else None
        code, message = (first.code or "", first.message or "") if first else ("", "the file was refused")
        if code == FULL:
            return RateLimited(self.target, detail=redacted(message, self.provider._api_key))
        where = f" (line {first.line})" if first and first.line else ""
        return self.fault({code}, f"{message}{where}", status=400)

    async def pieces(self, client: Any, part: str) -> AsyncGenerator[bytes, None]:
        async with client.files.with_streaming_response.content(part) as response:
            async for piece in response.iter_bytes():
                yield piece

    def outcome(self, line: dict[str, Any]) -> Outcome | None:
        custom_id: str = line["custom_id"]
        if error := line.get("error"):
            code, message = error.get("code") or "", error.get("message") or ""
            if never_asked := NEVER_ASKED.get(code):
                return Outcome(custom_id, error=never_asked(self.target))
            return Outcome(custom_id, error=self.fault({code}, message, status=None))
        response = line["response"]
        status, body, request_id = response["status_code"], response["body"], response.get("request_id") or ""
        if status >= 400:
            said = body.get("error") or {}
            names = {name for name in (said.get("code"), said.get("type")) if isinstance(name, str)}
            return Outcome(custom_id, error=self.fault(names, message_of(said), status=status, request_id=request_id))
        return self.answer(custom_id, body)

    def answer(self, custom_id: str, body: dict[str, Any]) -> Outcome:
        choice = body["choices"][0]
        said = choice["message"]
        refusal = said.get("refusal") or ""
        text = (said.get("content") or "") + refusal
        finish = "filter" if refusal else FINISH.get(choice.get("finish_reason") or "", "stop")
        counts = body.get("usage") or {}
        usage = inclusive(counts) if counts.get("prompt_tokens") else None
        request_id = body.get("id") or ""
        if finish == "filter" and not text:
            return Outcome(custom_id, error=ContentFiltered(self.target, usage=usage, request_id=request_id))
        reply = self.reply(text, model=body.get("model") or "", usage=usage, finish=finish, request_id=request_id)
        return Outcome(custom_id, reply)

    def fault(self, names: set[str], message: str, *, status: int | None, request_id: str = "") -> GatewayError:
        secret = self.provider._api_key
        return fault(self.target, status=status, names=names, message=message, request_id=request_id, secret=secret)


def at(timestamp: int) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)
