"""What is read of a request before a model sees it, and of an answer before the reader does.

What is noticed is written in the run's flags, see `noticed`; the workspace's policy says what is refused.
"""

import asyncio
from dataclasses import dataclass, replace

from .configuration import Configuration
from .gateway.guard import Leaked, Watcher, cites_unknown, clean, defuse
from .gateway.injection import signs_in
from .gateway.routing import question_of
from .gateway.types import Message, OnDelta, Passage, Request
from .models import Policy, Run
from .moderation import moderate
from .no_answer import says_nothing
from .noticed import (
    CANARY,
    CITATION_UNKNOWN,
    HIDDEN_TEXT,
    INJECTION,
    INJECTION_IN_PASSAGE,
    MODERATED,
    NO_ANSWER,
    UNMODERATED,
)
from .refusals import Objectionable, TooLarge

NOTHING = Request((), 1)  # what an answer is read by, where nothing of its request matters
LONG_CHARS = 50_000  # reading more would hold up whoever else this process serves


@dataclass(frozen=True, slots=True)
class Guarded:
    """The request as a model may read it, and what was noticed."""

    request: Request
    flags: tuple[str, ...] = ()


async def before(request: Request, *, configuration: Configuration, run: Run) -> Guarded:
    """Raises TooLarge or Objectionable. `run` is the call's, not written yet.

    Passages are looked at too and never refused: whoever asks is not to blame for what a document says. A call that
    is made for another one brings nothing new.
    """
    policy = configuration.policy
    refuse_too_long(request, policy)
    if sum(len(message.content) for message in request.messages) > LONG_CHARS:
        safe, flags = await asyncio.to_thread(cleaned_and_seen, request)
    else:
        safe, flags = cleaned_and_seen(request)
    if run.purpose != Run.Purpose.ANSWER:
        return Guarded(safe)
    if INJECTION in flags and policy.on_injection == Policy.Guard.BLOCK:
        raise Objectionable(
            "This reads like an attempt to give the assistant other orders, which this workspace refuses.",
            "Ask for what you want to know, without instructions to the assistant. Owners and admins can change this "
            "under Settings, Safety.",
            flags=tuple(flags),
        )
    if policy.moderates and run.parent is None:
        said = await moderate(question_of(safe), known=configuration, about=run, is_written=False)
        if said is None:
            flags.append(UNMODERATED)
        elif said.flagged:
            flags.append(MODERATED)
            if policy.on_moderation == Policy.Guard.BLOCK:
                raise Objectionable(
                    f"The provider’s moderation objects to this question: {listed(said.categories)}.",
                    "Ask it in other words.",
                    flags=tuple(flags),
                )
    return Guarded(safe, tuple(flags))


def refuse_too_long(request: Request, policy: Policy) -> None:
    chars = sum(len(message.content) for message in request.messages)
    if chars > policy.max_input_chars:
        raise TooLarge(
            f"The request has {chars:,} characters with its passages and what was said before; "
            f"{policy.max_input_chars:,} is the most here.",
            "Ask a shorter question, or begin a new conversation. An owner can raise this under Settings, Safety.",
        )


def cleaned_and_seen(request: Request) -> tuple[Request, list[str]]:
    """The request without what nobody sees, and what was noticed in its question and its passages."""
    asked = clean(question_of(request))
    flags = []
    if asked.has_hidden_text:
        flags.append(HIDDEN_TEXT)
    if signs_in(asked.text).are_enough or signs_in(asked.hidden).are_enough:
        flags.append(INJECTION)
    if any(speaks_to_models(passage) for passage in request.passages):
        flags.append(INJECTION_IN_PASSAGE)
    return cleaned(request), flags


def cleaned(request: Request) -> Request:
    """The request without what nobody sees."""
    return replace(
        request,
        messages=tuple(cleanly(message) for message in request.messages),
        passages=tuple(replace(passage, text=clean(passage.text).text) for passage in request.passages),
        question=clean(request.question).text,
    )


def cleanly(message: Message) -> Message:
    return replace(message, content=defuse(clean(message.content).text))


def speaks_to_models(passage: Passage) -> bool:
    cleaned = clean(f"{passage.title}\n{passage.heading}\n{passage.text}")
    return bool(cleaned.hidden) or signs_in(cleaned.text, is_passage=True).are_enough


class Watch:
    """Listens in the reader's place, and hands on what the reader may hear. Raises Objectionable.

    Pieces are handed on as they come, but for an end that may be the beginning of the canary. Only where the policy
    refuses what moderation objects to, nothing is heard before the whole answer was moderated.
    """

    def __init__(
        self,
        on_delta: OnDelta,
        request: Request,
        *,
        run: Run | None = None,
        configuration: Configuration | None = None,
    ) -> None:
        """run: the call's, whose flags the answer's moderation is written in; without it there is none."""
        self._on_delta = on_delta
        self._canary = request.canary
        self._watcher = Watcher(request.canary)
        self._run, self._known = run, configuration
        policy = configuration.policy if configuration and run and run.purpose == Run.Purpose.ANSWER else None
        self._moderates = policy is not None and policy.moderates
        self._waits = self._moderates and policy is not None and policy.on_moderation == Policy.Guard.BLOCK
        self._heard: list[str] = []
        self.generated: list[str] = []  # every piece as it came, shown or not: what was made has to be paid

    async def __call__(self, text: str) -> None:
        self.generated.append(text)
        try:
            shown = self._watcher.feed(text)
        except Leaked:
            raise Objectionable(
                "The answer was stopped: it began to give away the instructions that the model works by.",
                "Ask about the documents instead.",
                flags=(CANARY,),
                code="leak",
            ) from None
        await self._hand_on(shown)

    async def begin_again(self) -> None:
        """What was heard so far doesn't count."""
        self._watcher = Watcher(self._canary)
        self._heard.clear()
        self.generated.clear()

    async def release(self) -> None:
        """Hand on what was held back of an answer that broke off, unless it is much of the canary."""
        kept = self._watcher.end()
        if len(kept) <= len(self._canary) // 2:
            await self._hand_on(kept)

    async def finish(self) -> None:
        """Hand on what was held back."""
        await self._hand_on(self._watcher.end())
        answer = "".join(self._heard)
        if not (self._moderates and self._run and self._known and answer):
            return
        said = await moderate(answer, known=self._known, about=self._run, is_written=True)
        if said is None:
            self._run.flags = [*self._run.flags, UNMODERATED]
        elif said.flagged and self._waits:
            raise Objectionable(
                f"The provider’s moderation objects to the answer: {listed(said.categories)}.",
                "Ask something else.",
                flags=(MODERATED,),
            )
        elif said.flagged:
            self._run.flags = [*self._run.flags, MODERATED]
        if self._waits:
            await self._on_delta(answer)

    async def _hand_on(self, text: str) -> None:
        if not text:
            return
        if self._moderates:
            self._heard.append(text)
        if not self._waits:
            await self._on_delta(text)


def listed(categories: tuple[str, ...]) -> str:
    return ", ".join(categories) or "it gives no reason"


def after(text: str, request: Request) -> tuple[str, ...]:
    """What is noticed about a whole answer."""
    noticed = {CITATION_UNKNOWN: cites_unknown(text, len(request.passages)), NO_ANSWER: says_nothing(text)}
    return tuple(flag for flag, holds in noticed.items() if holds)
