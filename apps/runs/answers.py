"""Answers given again to similar questions of the same workspace.

    find(query, scope=...)     the answer to the same question in other words, or None
    store(query, scope=...)    keep the answer of a run that ended well
    purge(), forget(runs)      forget them

An answer is given again if all that it depends on is the same (its scope), the question's own words are
(`terms.terms`), and its meaning is (the cosine of the embeddings, exactly). Whatever is doubtful is asked anew.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import numpy as np
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone
from pgvector.django import CosineDistance

from . import terms
from .chain import Choice
from .configuration import Configuration
from .models import CachedAnswer, Policy, Run
from .no_answer import says_nothing

log = logging.getLogger(__name__)

MOST_KEPT = 5_000  # of one workspace, the newest
ROUNDING = 1e-6  # the cosine of a question with itself is hardly ever exactly 1


@dataclass(frozen=True, slots=True)
class CacheQuery:
    """A question that stands alone, float32 [384] of it, and what its answer is made from.

    `knowledge` names what the workspace knew when it began to search; `is_current` is asked at the last moment whether
    it still knows the same, and `still_holds` before an answer is kept whether that cites what it was given, and all of
    it is there. `context` is kept beside the answer and given back with it.
    """

    question: str
    embedding: np.ndarray
    knowledge: str
    context: dict[str, Any] = field(default_factory=dict)
    is_current: Callable[[], bool] = lambda: True
    still_holds: Callable[[str], bool] = lambda answer: True

    @property
    def terms(self) -> str:
        return digest(*terms.terms(self.question))


def scope_of(query: CacheQuery, *, run: Run, configuration: Configuration, choices: Sequence[Choice]) -> str:
    """A digest of all that must be the same for an answer to be given again."""
    policy = configuration.policy
    return digest(
        str(terms.VERSION),
        *(run.feature, str(run.prompt_version_id), run.tier, query.knowledge),  # type: ignore[attr-defined]
        *(f"{choice.target} {choice.account.pk if choice.account else ''}" for choice in choices),
        *(policy.routing, policy.on_injection, policy.on_moderation, str(policy.moderates)),
    )


def find(
    query: CacheQuery, *, scope: str, configuration: Configuration, threshold: float | None = None
) -> CachedAnswer | None:
    """The answer to the same question, counted as given. With a threshold of its own, also one that has expired."""
    if not configuration.policy.cache_is_on:
        return None
    least = float(configuration.policy.cache_threshold) if threshold is None else threshold
    found = CachedAnswer.objects.filter(scope=scope, terms=query.terms)
    if threshold is None:
        found = found.filter(expires_at__gt=Now())
    near = found.alias(distance=CosineDistance("embedding", query.embedding)).filter(distance__lte=1 - least + ROUNDING)
    answer: CachedAnswer | None = near.defer("embedding").first()
    if answer and not query.is_current():
        return None
    if answer:
        CachedAnswer.objects.filter(pk=answer.pk).update(hits=F("hits") + 1)
    return answer


def store(query: CacheQuery, *, scope: str, run: Run, configuration: Configuration) -> None:
    """Keep the run's answer instead of an older one, if it is whole, unobjectionable, and its grounds still hold."""
    policy: Policy = configuration.policy
    if not (policy.cache_is_on and policy.cache_hours and may_be_kept(run)):
        return
    if not (query.is_current() and query.still_holds(run.text)):
        return
    kept = CachedAnswer(
        scope=scope,
        terms=query.terms,
        question=query.question,
        embedding=query.embedding,
        answer=run.text,
        context=query.context,
        run=run,
        cost_usd=run.cost_usd or 0,
        created_at=timezone.now(),
        expires_at=timezone.now() + timedelta(hours=policy.cache_hours),
    )
    changing = [f.name for f in CachedAnswer._meta.fields if f.name not in ("id", "tenant", "scope", "terms")]
    try:
        with transaction.atomic():
            CachedAnswer.objects.bulk_create(
                [kept], update_conflicts=True, unique_fields=["tenant", "scope", "terms"], update_fields=changing
            )
            keep_newest()
    except IntegrityError:
        log.info("run %s is gone, and so its answer isn't kept", run.pk)


def may_be_kept(run: Run) -> bool:
    """Whether the run ended as a model ends what it has to say, and nobody had anything to object."""
    is_whole = run.status == Run.Status.OK and run.finish_reason == "stop" and not run.is_cached
    # One that says there is none costs little, and is wrong as soon as somebody adds what was missing.
    return is_whole and not run.flags and bool(run.text.strip()) and not says_nothing(run.text)


def keep_newest(most: int = MOST_KEPT) -> None:
    """Delete the active tenant's answers beyond the newest `most`."""
    if older := list(CachedAnswer.objects.order_by("-created_at", "id").values_list("pk", flat=True)[most:]):
        CachedAnswer.objects.filter(pk__in=older).delete()


def purge() -> int:
    """Forget every answer of the active tenant; returns how many there were."""
    return int(CachedAnswer.objects.all().delete()[0])


def forget(run_ids: Iterable[UUID]) -> None:
    """Forget the answers of these runs of the active tenant, which nobody is to be given again."""
    CachedAnswer.objects.filter(run_id__in=list(run_ids)).delete()


def digest(*parts: str) -> str:
    """SHA-256 in hex; parts can't run into each other."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
