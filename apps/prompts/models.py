"""What we say to models: named prompts and their immutable versions.

A version without a tenant is the default of every workspace. The source of truth of defaults is
`catalog/*.md` in git; `manage.py prompts sync` turns a changed file into a new version.
"""

import uuid
from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.tenants.context import require_tenant_id


class Prompt(models.Model):
    """A prompt's name and what it is for."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.SlugField(max_length=60, unique=True)
    feature = models.CharField(max_length=40)
    description = models.CharField(max_length=200, blank=True)

    def __str__(self) -> str:
        return self.name


class PromptVersionQuerySet(models.QuerySet["PromptVersion"]):
    def live(self, name: str) -> "PromptVersion":
        """The version a call uses now: the tenant's own, else the default, in one query.

        Raises PromptVersion.DoesNotExist for a name that isn't in the catalog.
        """
        own_first = models.F("tenant_id").asc(nulls_last=True)
        versions = self.filter(Q(tenant_id=require_tenant_id()) | Q(tenant_id=None), prompt__name=name, is_live=True)
        found = versions.select_related("prompt").order_by(own_first).first()
        if found is None:
            raise PromptVersion.DoesNotExist(f"No prompt is named {name!r}: run `manage.py prompts sync`.")
        return found


class PromptVersion(models.Model):
    """Words that were sent to a model. Never changed once written: every past answer points at them."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="versions")
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    number = models.PositiveIntegerField()
    body = models.TextField()
    checksum = models.CharField(max_length=64)
    is_live = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects: ClassVar[Any] = PromptVersionQuerySet.as_manager()
    unscoped: ClassVar[models.Manager[Self]] = models.Manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "prompt", "number"], name="prompt_version_number", nulls_distinct=False
            ),
            models.UniqueConstraint(
                fields=["tenant", "prompt"],
                name="prompt_one_live_version",
                nulls_distinct=False,
                condition=Q(is_live=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.prompt.name} v{self.number}"

    def make_live(self) -> Self:
        """Put this version in force. Both updates belong in one transaction."""
        siblings = type(self)._base_manager.using(self._state.db).filter(prompt=self.prompt, tenant_id=self.tenant_id)
        siblings.filter(is_live=True).exclude(pk=self.pk).update(is_live=False)
        siblings.filter(pk=self.pk).update(is_live=True)
        self.is_live = True
        return self
