"""What makes one call of a model, as those see it who build an answer from several."""

import asyncio
from typing import Protocol

from apps.prompts.models import PromptVersion
from apps.tenants.models import Tier

from .gateway.types import Deadlines, OnDelta, Request
from .models import Run


class OneCall(Protocol):
    """`execute.complete` for one answer, with who asks and for which feature filled in: each call leaves its run."""

    async def __call__(
        self,
        request: Request,
        *,
        tier: Tier | None = None,
        purpose: Run.Purpose = Run.Purpose.ANSWER,
        parent: Run | None = None,
        prompt_version: PromptVersion | None = None,
        on_delta: OnDelta | None = None,
        stop: asyncio.Event | None = None,
        deadlines: Deadlines | None = None,
    ) -> Run: ...
