"""What an operator does with the default versions, for every workspace that has none of its own in force.

    publish(version), roll_back(name, ...)      which default is in force
    start(name, weights), stop(name, ...)       an experiment on it

Defaults belong to no tenant, so no tenant's role may write them: this needs the platform's.
"""

from collections.abc import Mapping

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from apps.tenants.platform import PLATFORM

from .experiments import Share, arms, check
from .history import one_before
from .models import Experiment, ExperimentArm, Prompt, PromptVersion, Publication
from .publish import Refused, numbered


def publish(version: PromptVersion, *, goes_back: bool = False) -> PromptVersion:
    """Put a default version in force, for every workspace that has none of its own."""
    with transaction.atomic(using=PLATFORM):
        Publication(prompt=version.prompt, version=version, goes_back=goes_back).save(using=PLATFORM)
        return version.make_live()


def roll_back(name: str, *, to: int | None = None) -> PromptVersion:
    """Put the default version in force that was so before, or the one with the number `to`. Raises Refused.

    Everybody's experiment on it ends: else people would go on getting what is rolled back.
    """
    with transaction.atomic(using=PLATFORM):
        prompt = locked(name)
        running(prompt).update(stopped_at=Now())
        defaults = PromptVersion.objects.using(PLATFORM).filter(prompt=prompt, tenant=None).select_related("prompt")
        if to is not None:
            return publish(numbered(defaults, to))
        current = defaults.get(is_live=True)
        # What was in force before publications were noted has none.
        unnoted = defaults.filter(number__lt=current.number, publications=None).order_by("-number")
        before = one_before(current, among=defaults) or unnoted.first()
        if before is None:
            raise Refused(f"{current} is the first version there is.")
        return publish(before, goes_back=True)


def running(prompt: Prompt) -> QuerySet[Experiment]:
    return Experiment.unscoped.using(PLATFORM).filter(prompt=prompt, tenant=None, stopped_at=None)


def locked(name: str) -> Prompt:
    """The catalog's prompt. Of two who change its versions, such as by sync and rollback, one waits. Raises Refused."""
    prompt = Prompt.unscoped.using(PLATFORM).select_for_update().filter(tenant=None, name=name).first()
    if prompt is None:
        raise Refused(f"No prompt is named {name!r}.")
    return prompt


def start(name: str, weights: Mapping[int, int], *, question: str = "") -> Experiment:
    """Try default versions, by number with their weights, in every workspace that uses the default. Raises Refused."""
    prompt = Prompt.unscoped.using(PLATFORM).filter(tenant=None, name=name).first()
    if prompt is None:
        raise Refused(f"No prompt is named {name!r}.")
    versions = PromptVersion.objects.using(PLATFORM).filter(prompt=prompt, tenant=None, number__in=weights)
    by_number = {version.number: version for version in versions}
    if unknown := sorted(weights.keys() - by_number.keys()):
        raise Refused(f"The default of {name} has no version {unknown[0]}.")
    shares = [Share(by_number[number], weight) for number, weight in weights.items()]
    check(prompt, shares, owners={None})
    try:
        with transaction.atomic(using=PLATFORM):
            experiment = Experiment(prompt=prompt, question=question)
            experiment.save(using=PLATFORM)
            ExperimentArm.unscoped.using(PLATFORM).bulk_create(arms(experiment, shares))
    except IntegrityError:
        raise Refused(f"An experiment on {name} is running. Stop it first.") from None
    return experiment


def stop(name: str, *, promote: int | None = None) -> Experiment:
    """End it, and put the default version with the number `promote` in force. Raises Refused."""
    with transaction.atomic(using=PLATFORM):
        experiment = running(locked(name)).first()
        if experiment is None:
            raise Refused(f"No experiment on the default of {name} is running.")
        if promote is not None:
            taking_part = ExperimentArm.unscoped.using(PLATFORM).select_related("version__prompt")
            winner = taking_part.filter(experiment=experiment, version__number=promote).first()
            if winner is None:
                raise Refused(f"Version {promote} doesn’t take part in it.")
            winner.is_winner = True
            winner.save(using=PLATFORM, update_fields=["is_winner"])
            publish(winner.version)
        experiment.stopped_at = Now()  # type: ignore[assignment]
        experiment.save(using=PLATFORM, update_fields=["stopped_at"])
    return experiment
