"""Trials of one prompt's versions on a workspace's people: started, stopped, and what wins is published.

`defaults` does the same for every workspace that uses the default.
"""

from dataclasses import dataclass

from django.db import transaction
from django.db.models.functions import Now

from apps.tenants.audit import record
from apps.tenants.context import current_scope, require_tenant_id

from .models import Experiment, ExperimentArm, Prompt, PromptVersion
from .publish import Refused, back_to_default, lock, publish

MOST_ARMS = 4
MOST_WEIGHT = 1000


@dataclass(frozen=True, slots=True)
class Share:
    """A version that takes part, and its weight among all that do."""

    version: PromptVersion
    weight: int


def start(prompt: Prompt, shares: list[Share], *, question: str = "") -> Experiment:
    """Try the active workspace's own and default versions on its people. Raises Refused."""
    check(prompt, shares, owners={require_tenant_id(), None})
    with transaction.atomic():
        lock()
        if Experiment.objects.filter(tenant_id=require_tenant_id(), prompt=prompt, stopped_at=None).exists():
            raise Refused(f"An experiment on {prompt.name} is running. Stop it first.")
        experiment = Experiment.objects.create(
            tenant_id=require_tenant_id(),
            prompt=prompt,
            question=" ".join(question.split())[:200],
            started_by_id=current_scope().user_id,
        )
        ExperimentArm.objects.bulk_create(arms(experiment, shares))
        record("experiment.started", experiment, prompt=prompt.name, arms=described(shares))
    return experiment


def stop(experiment: Experiment, *, winner: ExperimentArm | None = None) -> Experiment:
    """End it; every call has the version in force again, which from now on is the winner's, if there is one.

    Raises Refused for one that is over, or a winner that can't be put in force: a default that isn't the live one.
    """
    with transaction.atomic():
        lock()
        if Experiment.objects.filter(pk=experiment.pk, stopped_at=None).update(stopped_at=Now()) == 0:
            raise Refused("This experiment has been stopped already.")
        record("experiment.stopped", experiment, winner=str(winner.version) if winner else "")
        if winner is not None:
            experiment.arms.filter(pk=winner.pk).update(is_winner=True)
            if winner.version.tenant_id is not None:
                publish(winner.version)
            elif not PromptVersion.objects.filter(pk=winner.version_id, is_live=True).exists():  # type: ignore[attr-defined]
                raise Refused("Only the service can put an older default in force. Make it a version of your own.")
            elif PromptVersion.objects.live(experiment.prompt.name).tenant_id is not None:
                back_to_default(experiment.prompt.name)
    experiment.refresh_from_db()
    return experiment


def check(prompt: Prompt, shares: list[Share], *, owners: set[object]) -> None:
    versions = [share.version for share in shares]
    if not 2 <= len({version.pk for version in versions}) == len(versions) <= MOST_ARMS:
        raise Refused(f"An experiment compares two to {MOST_ARMS} different versions.")
    if any(version.prompt_id != prompt.pk or version.tenant_id not in owners for version in versions):
        raise Refused("Only versions of this prompt can take part.")
    if any(not 1 <= share.weight <= MOST_WEIGHT for share in shares):
        raise Refused(f"A weight is a whole number from 1 to {MOST_WEIGHT:,}.")


def arms(experiment: Experiment, shares: list[Share]) -> list[ExperimentArm]:
    return [
        ExperimentArm(
            tenant_id=experiment.tenant_id,
            experiment=experiment,
            version=share.version,
            position=position,
            weight=share.weight,
        )
        for position, share in enumerate(shares, start=1)
    ]


def described(shares: list[Share]) -> str:
    whole = sum(share.weight for share in shares)
    return ", ".join(f"{whose(share.version)} {round(100 * share.weight / whole)} %" for share in shares)


def whose(version: PromptVersion) -> str:
    return f"version {version.number}" if version.tenant_id else f"default {version.number}"
