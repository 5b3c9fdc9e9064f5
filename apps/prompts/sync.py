"""From the catalog in git to versions in the database."""

from django.db import transaction

from apps.tenants.platform import PLATFORM

from .catalog_files import CatalogPrompt, read_all
from .models import Prompt, PromptVersion


def sync() -> list[PromptVersion]:
    """A new live default version for each file whose words changed; returns those. Never changes a version.

    Defaults belong to no tenant, so no tenant's role may write them: this needs the platform's.
    """
    with transaction.atomic(using=PLATFORM):
        return [version for prompt in read_all() if (version := sync_one(prompt))]


def sync_one(file: CatalogPrompt) -> PromptVersion | None:
    prompt, _ = Prompt.objects.using(PLATFORM).update_or_create(
        name=file.name, defaults={"feature": file.feature, "description": file.description}
    )
    versions = PromptVersion.objects.using(PLATFORM).filter(prompt=prompt, tenant=None)
    latest = versions.order_by("-number").first()
    if latest and latest.checksum == file.checksum:
        return None
    version = PromptVersion(
        prompt=prompt, number=latest.number + 1 if latest else 1, body=file.body, checksum=file.checksum
    )
    version.save(using=PLATFORM)
    return version.make_live()
