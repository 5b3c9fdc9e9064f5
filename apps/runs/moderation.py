"""Asks a provider whether it objects to a text: a run of its own, which makers of moderation models charge nothing for.

Moderation is there to help, and not what safety rests on: where nobody offers it, or it is down, calls go on and say
so in their flags.
"""

import asyncio
import logging
import time

from django.conf import settings

from apps.tenants.models import ProviderKey
from apps.tenants.threads import in_thread, surely

from . import alerts, chain, ledger
from .admit import admit_free
from .chain import Choice
from .circuits import circuits
from .configuration import Configuration
from .gateway.breaker import Verdict
from .gateway.client import VERDICTS
from .gateway.errors import CircuitOpen, GatewayError
from .gateway.providers.openai import OpenAIProvider
from .gateway.types import Deadlines, Moderation, Target, estimate_tokens
from .models import Run

log = logging.getLogger(__name__)

MODEL = "omni-moderation-latest"
DEADLINES = Deadlines(first_token_s=4, idle_s=4, total_s=4)
PIECE_CHARS = 20_000  # about what the model reads at once


def moderator(known: Configuration) -> Choice | None:
    """Whose moderation the workspace has: its own account's; the installation's if it has no account; or nobody's."""
    if known.provider_keys:
        own = (key for key in known.provider_keys.values() if key.kind == ProviderKey.Kind.OPENAI)
        account = next(own, None)
        return Choice(Target(account.name, MODEL), account=account) if account else None
    if settings.OPENAI_API_KEY or settings.OPENAI_BASE_URL:
        return Choice(Target("openai", MODEL))
    named = (name for name, provider in settings.PROVIDERS.items() if provider["kind"] == "openai")
    name = next(named, None)
    return Choice(Target(name, MODEL)) if name else None


async def moderate(text: str, *, known: Configuration, about: Run, is_written: bool) -> Moderation | None:
    """What the provider says of `text`, which belongs to the call `about`; None if nobody answers that.

    is_written: whether `about` is in the database already, so that this run can point at it now.
    """
    choice = moderator(known)
    if choice is None:
        return None
    run = Run(
        tenant_id=about.tenant_id,
        user=about.user,
        api_key=about.api_key,
        feature=about.feature,
        batch_id=about.batch_id,
        parent=about if is_written else None,
        purpose=Run.Purpose.MODERATE,
        tier="moderation",
        route_reason="moderates",
        provider=choice.target.provider,
        model=MODEL,
        payer=Run.Payer.TENANT if choice.account else Run.Payer.PLATFORM,
        provider_key=choice.account,
    )
    await in_thread(admit_free, run)
    if run.error:
        return None
    if not is_written:
        about.made_before += (run.pk,)
    began = time.monotonic()
    run.status, run.error_code, run.cost_usd = Run.Status.FAILED, "internal", 0
    try:
        said = await asked(choice, text)
        run.status, run.error_code, run.request_id = Run.Status.OK, "", said.request_id
        run.provider_answered, run.model_answered = choice.target.provider, MODEL
        run.input_tokens, run.is_estimated = estimate_tokens(text), True
        run.flags = ["moderated"] if said.flagged else []
        return said
    except GatewayError as error:
        log.warning("moderation %s: %s", run.pk, error)
        run.error_code = error.code
        return None
    finally:
        run.latency_ms = round((time.monotonic() - began) * 1000)
        await asyncio.shield(in_thread(surely, close, run))


def close(run: Run) -> None:
    alerts.send(ledger.close(run))


async def asked(choice: Choice, text: str) -> Moderation:
    """Its objections to any piece of the text. Raises a GatewayError; the breaker keeps one that is down from slowing
    every call."""
    permit = await circuits().enter(choice.circuit)
    if permit is None:
        raise CircuitOpen(choice.target)
    verdict: Verdict = "nothing"
    retry_after_s: float | None = None
    try:
        provider = chain.connect(choice)
        assert isinstance(provider, OpenAIProvider)
        pieces = [text[at : at + PIECE_CHARS] for at in range(0, len(text), PIECE_CHARS)]
        said = [await provider.moderate(piece, MODEL, DEADLINES) for piece in pieces]
        verdict = "ok"
    except GatewayError as error:
        verdict, retry_after_s = VERDICTS[error.breaker], error.retry_after_s
        raise
    finally:
        await circuits().leave(permit, verdict, retry_after_s)
    categories = {name for each in said for name in each.categories}
    return Moderation(any(each.flagged for each in said), tuple(sorted(categories)), said[0].request_id if said else "")
