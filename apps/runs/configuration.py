"""What decides how models are called for a workspace: kept in memory, and never out of date for a call.

Whatever it is made of counts a revision up in the database. A process keeps what it has read together with the
revision; beginning a run compares the two, in the statement that it needs anyway, and says `Stale` if they differ.
So a change is in force with the next call of every process, and no call asks the database for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from django.db import connection

from apps.tenants.context import require_tenant_id
from apps.tenants.models import ApiKey, Flag, ProviderKey, Tenant, Tier

from .gateway.types import Price, Target
from .models import ModelPrice, ModelRoute, Policy, Processing

KEPT = 2_000  # workspaces, in one process

ORDER = list(Tier)


@dataclass(frozen=True, slots=True)
class Everybody:
    """What holds for every workspace."""

    revision: int
    prices: Mapping[tuple[Target, Processing], tuple[ModelPrice, ...]]
    routes: tuple[ModelRoute, ...]
    off: frozenset[str]


@dataclass(frozen=True, slots=True)
class Configuration:
    """What holds for one workspace, and what holds for everybody."""

    everybody: Everybody
    tenant_id: UUID
    tenant_revision: int
    allowed_models: frozenset[str]
    highest_tier: Tier
    policy: Policy
    own_routes: tuple[ModelRoute, ...]
    own_off: frozenset[str]
    provider_keys: Mapping[str, ProviderKey]  # those in use, by name
    api_keys: Mapping[str, ApiKey]  # those not revoked, by digest

    @property
    def revision(self) -> tuple[int, int]:
        return self.everybody.revision, self.tenant_revision

    @property
    def off(self) -> frozenset[str]:
        """Features that are switched off, here or for everybody."""
        return self.everybody.off | self.own_off

    def routes(self, tier: Tier) -> tuple[ModelRoute, ...]:
        """Those of a tier by position: the workspace's own, else everybody's."""
        own = tuple(route for route in self.own_routes if route.tier == tier)
        return own or tuple(route for route in self.everybody.routes if route.tier == tier)

    def at_most(self, tier: Tier) -> Tier:
        """The tier, or the dearest that the workspace's plan allows."""
        return min(tier, self.highest_tier, key=ORDER.index)

    def prices_of(self, target: Target, processing: Processing = Processing.ONLINE) -> tuple[Price, ...]:
        """Every price of a model that is in force today, that of the longest requests last."""
        today = datetime.now(UTC).date()
        rows = {
            row.min_input_tokens: row
            for row in self.everybody.prices.get((target, processing), ())
            if row.valid_from <= today and (row.valid_to is None or row.valid_to > today)
        }
        return tuple(row.price() for row in rows.values())


_everybody: Everybody | None = None
_kept: dict[UUID, Configuration] = {}


def kept() -> Configuration | None:
    """The active tenant's, if this process has it: needs no database."""
    return _kept.get(require_tenant_id())


def kept_key(digest: str) -> ApiKey | None:
    """The active tenant's key with that digest, with its workspace, if this process has both."""
    known = kept()
    return known.api_keys.get(digest) if known else None


def current() -> Configuration:
    """The active tenant's, as this process knows it. Only beginning a run tells whether it still holds."""
    return kept() or fresh()


def fresh() -> Configuration:
    """The active tenant's, as it is now."""
    global _everybody
    # The revisions first: what is newer than they say is noticed, what is older can't be.
    tenant = Tenant.objects.get(pk=require_tenant_id())
    revision = everybodys_revision()
    everybody = _everybody if _everybody and _everybody.revision == revision else read_everybody(revision)
    flags = Flag.objects.filter(is_on=False, tenant_id=tenant.pk)
    configuration = Configuration(
        everybody=everybody,
        tenant_id=tenant.pk,
        tenant_revision=tenant.policy_revision,
        allowed_models=frozenset(tenant.allowed_models),
        highest_tier=Tier(tenant.highest_tier),
        policy=Policy.objects.first() or Policy(tenant_id=tenant.pk),
        own_routes=tuple(ModelRoute.objects.filter(is_on=True, tenant_id=tenant.pk).order_by("position", "id")),
        own_off=frozenset(flags.values_list("name", flat=True)),
        provider_keys={key.name: key for key in ProviderKey.objects.filter(is_on=True).order_by("created_at")},
        api_keys={key.digest: key for key in ApiKey.objects.filter(revoked_at=None).select_related("tenant")},
    )
    if not connection.in_atomic_block:  # what is not committed may never have been
        if len(_kept) >= KEPT:
            _kept.clear()
        _everybody, _kept[tenant.pk] = everybody, configuration
    return configuration


def everybodys_revision() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT revision FROM tenants_policyrevision")
        (revision,) = cursor.fetchone()
    return int(revision)


def read_everybody(revision: int) -> Everybody:
    prices: dict[tuple[Target, Processing], list[ModelPrice]] = {}
    # A later price of the same length replaces an earlier one.
    for row in ModelPrice.objects.order_by("min_input_tokens", "valid_from"):
        prices.setdefault((Target(row.provider, row.model), Processing(row.processing)), []).append(row)
    return Everybody(
        revision=revision,
        prices={priced: tuple(rows) for priced, rows in prices.items()},
        routes=tuple(ModelRoute.objects.filter(is_on=True, tenant_id=None).order_by("position", "id")),
        off=frozenset(Flag.objects.filter(is_on=False, tenant_id=None).values_list("name", flat=True)),
    )
