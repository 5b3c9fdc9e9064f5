"""Named prompts and their immutable versions.

A version without a tenant is a default of every workspace. The source of truth of defaults is `catalog/*.md` in git;
`manage.py prompts sync` turns a changed file into a new version.
"""

import uuid
from typing import Any, ClassVar, Self

from django.conf import settings
from django.contrib.postgres.expressions import ArraySubquery
from django.db import models
from django.db.models import F, OuterRef, Q
from django.db.models.functions import JSONObject, Now

from apps.tenants.context import require_tenant_id
from apps.tenants.models import Tier
from apps.tenants.owned import TenantOrDefault

from ..render import render
from ..spec import Spec, Variable, read_spec
from .experiment import ExperimentArm, Offered, arm_of


class Prompt(TenantOrDefault):
    """A prompt's name and what it is for: one of the catalog's, or, with a tenant, one that a workspace made itself."""

    name = models.SlugField(max_length=60)
    feature = models.CharField(max_length=40)
    description = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name"], name="prompt_name_once", nulls_distinct=False)
        ]

    def __str__(self) -> str:
        return self.name


class PromptVersionQuerySet(models.QuerySet["PromptVersion"]):
    def live(self, name: str) -> "PromptVersion":
        """The version in force: the tenant's own, else the default, in one query.

        Raises PromptVersion.DoesNotExist for a name that isn't in the catalog.
        """
        found = self._in_force(name).first()
        if found is None:
            raise PromptVersion.DoesNotExist(f"No prompt is named {name!r}: run `manage.py prompts sync`.")
        return found

    def chosen(self, name: str, *, subject: object) -> "PromptVersion":
        """The version that a call of `subject` uses: the one in force, or an experiment's, whose `arm` it then has.

        subject: who asks, such as a user's id. The same one gets the same arm for as long as an experiment runs; None
        takes part in none. One query, and a second one for whoever is given another version than the one in force.
        Raises PromptVersion.DoesNotExist.
        """
        if subject is None:
            return self.live(name)
        arms = ExperimentArm.unscoped.filter(
            Q(experiment__tenant_id=require_tenant_id()) | Q(experiment__tenant_id=None),
            experiment__prompt_id=OuterRef("prompt_id"),
            experiment__stopped_at=None,
        )
        columns = JSONObject(
            id="id",
            experiment="experiment_id",
            is_own=Q(experiment__tenant_id__isnull=False),
            version="version_id",
            weight="weight",
        )
        version = (
            self._in_force(name).annotate(offered=ArraySubquery(arms.order_by("position").values(json=columns))).first()
        )
        if version is None:
            return self.live(name)
        offered = [Offered(**each) for each in version.offered]
        if arm := arm_of(offered, has_own=version.tenant_id is not None, subject=subject):
            if arm.version != version.pk:
                version = self.select_related("prompt").get(pk=arm.version)
            version.arm_id = arm.id
        return version

    def visible(self) -> Self:
        """The active tenant's own and the defaults."""
        return self.filter(Q(tenant_id=require_tenant_id()) | Q(tenant_id=None))

    def _in_force(self, name: str) -> Self:
        # A name of the catalog's means the catalog's, though a workspace may have used it before.
        order = (F("prompt__tenant_id").asc(nulls_first=True), F("tenant_id").asc(nulls_last=True))
        return self.visible().filter(prompt__name=name, is_live=True).select_related("prompt").order_by(*order)


class PromptVersion(TenantOrDefault):
    """Words that are sent to a model, and what they come with. Never changed once written: every past answer points
    at them. Only `is_live` changes, through `publish`.

    `variables`, `tier`, `max_output_tokens` and `output_schema` are its `spec`. `message` says why it was written.
    """

    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    body = models.TextField()
    variables = models.JSONField(default=list)
    tier = models.CharField(max_length=8, choices=Tier, blank=True)
    max_output_tokens = models.PositiveIntegerField(null=True, blank=True)
    output_schema = models.JSONField(null=True, blank=True)
    checksum = models.CharField(max_length=64)
    message = models.CharField(max_length=200, blank=True)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    is_live = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    arm_id: uuid.UUID | None = None  # of the experiment by which it was chosen for a call
    offered: list[dict[str, Any]]  # the arms of running experiments, where a query brings them along

    objects: ClassVar[Any] = PromptVersionQuerySet.as_manager()  # type: ignore[assignment]

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

    @property
    def spec(self) -> Spec:
        return read_spec({name: getattr(self, name) for name in Spec().as_json()})

    @property
    def declared(self) -> tuple[Variable, ...]:
        return self.spec.variables

    @property
    def forced_tier(self) -> Tier | None:
        """The tier that answers, None where the workspace's routing decides."""
        return Tier(self.tier) if self.tier else None

    def render(self, **values: str) -> str:
        """The body with its variables filled in. Raises UnknownVariable for one that `values` lacks."""
        return render(self.body, **values)

    def make_live(self) -> Self:
        """Put this version in force instead of its siblings. Both updates belong in one transaction."""
        self.siblings().filter(is_live=True).exclude(pk=self.pk).update(is_live=False)
        self.siblings().filter(pk=self.pk).update(is_live=True)
        self.is_live = True
        return self

    def siblings(self) -> models.QuerySet[Self]:
        """Every version of the same prompt that belongs to the same tenant, or to none as this one."""
        versions = type(self)._base_manager.using(self._state.db)
        return versions.filter(prompt_id=self.prompt_id, tenant_id=self.tenant_id)  # type: ignore[misc]


class Publication(TenantOrDefault):
    """When a version was put in force, by whom. Without one, a workspace went back to the default.

    `goes_back`: by rolling back, so that what was put in force since is undone. See `apps.prompts.history`.
    """

    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="+")
    version = models.ForeignKey(PromptVersion, null=True, on_delete=models.CASCADE, related_name="publications")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    at = models.DateTimeField(db_default=Now(), editable=False)
    goes_back = models.BooleanField(default=False)

    class Meta:
        indexes = [models.Index(fields=["tenant", "prompt", "-at"], name="publication_by_time")]

    def __str__(self) -> str:
        return f"{self.version or 'the default'}, {self.at:%d %b %Y}"
