"""The rehearsal model itself: reads which task the prompt sets, and does that."""

from collections.abc import Mapping, Sequence
from typing import Any

from apps.runs.gateway.providers.base import Embedder

from .answer import answer
from .finding import Remembering
from .mending import mend
from .rating import rate
from .reading import read
from .rules import Rule, followed
from .tiers import choose


class Rehearsal:
    """Safe to share between threads. The same messages get the same reply."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = Remembering(embedder)

    def reply(self, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any] | None = None) -> str:
        """What it says to messages of OpenAI's form, `{"role", "content"}`.

        The last turn sets the task, if it speaks of the answer before it; else the system prompt does.
        """
        conversation = read(messages)
        told = followed(conversation.instruction)
        if Rule.MEND in told:
            return mend(conversation, schema or {}, self.embedder)
        if Rule.RATE in told:
            return rate(conversation, self.embedder)
        if Rule.CHOOSE in followed(conversation.system) and not conversation.passages:
            return choose(conversation, self.embedder)
        return answer(conversation, self.embedder)
