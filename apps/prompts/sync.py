"""From the catalog in git to versions in the database."""

from dataclasses import dataclass, field

from django.db import transaction

from apps.tenants.platform import PLATFORM

from .catalog_files import CatalogPrompt, read_all
from .defaults import publish
from .models import Experiment, Prompt, PromptVersion
from .render import variables


@dataclass(frozen=True, slots=True)
class Report:
    """What a sync did. `published`: new versions, in force now. `without_file`: prompts that the catalog no longer has,
    which stay as they are. `on_trial`: those of the published whose prompt an experiment is running on. `misfits`:
    workspaces' own versions in force that name a variable which the published default has no more."""

    published: list[PromptVersion] = field(default_factory=list)
    unchanged: int = 0
    without_file: list[str] = field(default_factory=list)
    on_trial: list[PromptVersion] = field(default_factory=list)
    misfits: list[PromptVersion] = field(default_factory=list)


def sync() -> Report:
    """A new live default version for each file whose words, or what they come with, changed. Never changes a version.

    Defaults belong to no tenant, so no tenant's role may write them: this needs the platform's. Raises BadCatalogFile,
    having written nothing.
    """
    files = read_all()
    with transaction.atomic(using=PLATFORM):
        published = [version for file in files if (version := sync_one(file))]
        prompts = Prompt.unscoped.using(PLATFORM).filter(tenant=None).exclude(name__in=[file.name for file in files])
        running = Experiment.unscoped.using(PLATFORM).filter(tenant=None, stopped_at=None)
        on_trial = set(running.values_list("prompt_id", flat=True))
        return Report(
            published=published,
            unchanged=len(files) - len(published),
            without_file=sorted(prompts.values_list("name", flat=True)),
            on_trial=[version for version in published if version.prompt_id in on_trial],
            misfits=[own for version in published for own in misfits(version)],
        )


def misfits(default: PromptVersion) -> list[PromptVersion]:
    live = PromptVersion.objects.using(PLATFORM).filter(prompt_id=default.prompt_id, is_live=True, tenant__isnull=False)
    known = {variable.name for variable in default.declared}
    return [own for own in live.select_related("prompt", "tenant") if not variables(own.body) <= known]


def sync_one(file: CatalogPrompt) -> PromptVersion | None:
    prompt, _ = Prompt.unscoped.using(PLATFORM).update_or_create(
        tenant=None, name=file.name, defaults={"feature": file.feature, "description": file.description}
    )
    versions = PromptVersion.objects.using(PLATFORM).filter(prompt=prompt, tenant=None)
    latest = versions.order_by("-number").first()
    if latest and latest.checksum == file.checksum:
        return None
    version = PromptVersion(
        prompt=prompt,
        number=latest.number + 1 if latest else 1,
        body=file.body,
        checksum=file.checksum,
        message="From the catalog",
        **file.spec.as_json(),
    )
    version.save(using=PLATFORM)
    return publish(version)
