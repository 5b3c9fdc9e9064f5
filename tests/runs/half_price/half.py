"""Batches within a day, taken step by step: made, sent, polled; and what they must have cost."""

from datetime import timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

from django.core.management import call_command
from django.db.models import Q, Sum
from django.utils import timezone

from apps.runs import configuration
from apps.runs.batches import control
from apps.runs.batches.create import PlannedStep, create
from apps.runs.batches.work import work
from apps.runs.gateway.pricing import cost_usd
from apps.runs.gateway.types import Target, Usage
from apps.runs.models import Batch, Processing, ProviderBatch, Run, Spend
from tests.conftest import Cast
from tests.gateway.batch_stub import BatchStub
from tests.runs.batches.rows import echo, numbered
from tests.runs.crowd import differences

KEY = "sk-corbel-canary-0123456789abcdef"
MODELS = {"openai": "gpt-5-mini", "anthropic": "claude-haiku-4-5"}
USED = {
    "openai": Usage(120, 7, cached_tokens=100, cache_write_tokens=5, reasoning_tokens=3),
    "anthropic": Usage(120, 7, cached_tokens=100, cache_write_tokens=3, cache_write_1h_tokens=2, reasoning_tokens=3),
}


def configure(settings: Any, provider: str, url: str) -> None:
    settings.OPENAI_API_KEY = settings.ANTHROPIC_API_KEY = settings.OPENAI_BASE_URL = settings.ANTHROPIC_BASE_URL = ""
    if provider == "openai":
        settings.OPENAI_API_KEY, settings.OPENAI_BASE_URL, settings.OPENAI_MODEL = KEY, url, MODELS[provider]
    else:
        settings.ANTHROPIC_API_KEY, settings.ANTHROPIC_BASE_URL = KEY, url
        settings.ANTHROPIC_MODEL = MODELS[provider]


def draft(acme: Cast, count: int = 3, *, steps: list[PlannedStep] | None = None, sheet: Any = None) -> Batch:
    within = Batch.Mode.WITHIN_A_DAY
    return create("Words", sheet=sheet or numbered(count), user=acme.alice, steps=steps or [echo()], mode=within)


def started(acme: Cast, *args: Any, **kwargs: Any) -> Batch:
    """A batch whose rows are with the provider."""
    batch = draft(acme, *args, **kwargs)
    control.start(batch)
    return send(batch)


def send(batch: Batch) -> Batch:
    """As a worker does that takes the batch from the queue."""
    work(batch.pk)
    batch.refresh_from_db()
    return batch


def poll(batch: Batch, *, after: timedelta = timedelta(0)) -> Batch:
    """As workers do who are told that it is time; everything about open files happened `after` ago already."""
    files = ProviderBatch.objects.filter(status__in=ProviderBatch.OPEN)
    files.update(due_at=timezone.now() - timedelta(seconds=1))
    for file in files:
        moved = {name: at - after for name in ("sending_at", "expires_at") if (at := getattr(file, name))}
        ProviderBatch.objects.filter(pk=file.pk).update(**moved)
    call_command("poll_provider_batches", stdout=StringIO())
    batch.refresh_from_db()
    return batch


def ended(batch: Batch, stub: BatchStub, status: str = "completed") -> Batch:
    """Its files have ended at the provider, and we have heard of it."""
    stub.end(status)
    return poll(batch)


def file_of(batch: Batch) -> ProviderBatch:
    """The newest."""
    return ProviderBatch.objects.filter(batch=batch).order_by("-created_at").first()


def cost_of_one(provider: str, processing: Processing = Processing.BATCH) -> Decimal:
    (price, *_) = configuration.current().prices_of(Target(provider, MODELS[provider]), processing)
    return cost_usd(USED[provider], price)


def check_ledger(*, is_open: bool = False) -> Decimal:
    """Counters are what the runs say, also of what is reserved. Returns what was spent."""
    runs = Run.objects.aggregate(usd=Sum("cost_usd"), held=Sum("reserved_usd", filter=Q(status=Run.Status.RUNNING)))
    spent, held = runs["usd"] or Decimal(0), runs["held"] or Decimal(0)
    counter = Spend.objects.filter(scope="workspace").first()
    assert (counter.month_usd, counter.month_reserved_usd) == (spent, held)
    assert is_open or differences() == []
    assert bool(held) == is_open
    return spent
