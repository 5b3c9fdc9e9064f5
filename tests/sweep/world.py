"""Acme and Globex, each full of what could leak to the other, and everybody who might try."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from time import time
from typing import Any
from uuid import UUID

import redis
from allauth.mfa.utils import encrypt
from django.apps import apps
from django.conf import settings
from django.core.files.base import ContentFile
from django.test import Client
from django.utils import timezone

from apps.chat import stream
from apps.chat.models import Message
from apps.tenants.context import tenant_context
from apps.tenants.models import Membership, Tenant, User
from apps.tenants.signup import create_workspace
from tests.conftest import PASSWORD

from .passkey import credential
from .planting import Given, Planter, Row, mark, owned_models

Role = Membership.Role
SOON = timedelta(days=1)


def secret_of(slug: str) -> str:
    """What the link in that workspace's invitation holds, and its row only the digest of."""
    return f"{mark(slug)}invitation".ljust(43, "0")


def api_token_of(tenant: Tenant) -> str:
    """What opens that workspace's API, and its row only the digest of."""
    return f"corbel_{tenant.pk.hex}_{f'{mark(tenant.slug)}api-key'.ljust(43, '0')}"


def keys(planter: Planter) -> Iterator[Given]:
    token = api_token_of(planter.tenant)
    yield {"digest": hashlib.sha256(token.encode()).hexdigest(), "last_four": token[-4:]}


def file(planter: Planter, name: str) -> ContentFile:
    return ContentFile(f"{mark(planter.tenant.slug)}file-{name}".encode(), name=name)


def documents(planter: Planter) -> Iterator[Given]:
    for status in ("ready", "failed", "queued"):
        yield {"status": status, "kind": "txt", "filename": f"{status}.txt", "file": file(planter, f"{status}.txt")}


def messages(planter: Planter) -> Iterator[Given]:
    """A question, its answer, and one that is being written."""
    yield {"role": "user"}
    question = planter.rows[Message][0]
    yield {"role": "assistant", "in_reply_to": question}
    yield {"role": "assistant", "in_reply_to": question, "status": "streaming"}


def invitations(planter: Planter) -> Iterator[Given]:
    """Open to whoever holds the link and owns the address."""
    slug = planter.tenant.slug
    yield {"token_digest": hashlib.sha256(secret_of(slug).encode()).hexdigest(), "email": f"invited@{slug}.example"}


def domains(planter: Planter) -> Iterator[Given]:
    yield {"domain": f"docs.{planter.tenant.slug}.example", "verified_at": timezone.now()}
    yield {}


def exports(planter: Planter) -> Iterator[Given]:
    now = timezone.now()
    done = {"status": "ready", "finished_at": now, "expires_at": now + SOON}
    yield {**done, "file": file(planter, "export.zip")}


def social_accounts(planter: Planter) -> Iterator[Given]:
    mine = mark(planter.tenant.slug)
    yield {"provider": "github", "uid": f"{mine}uid", "extra_data": {"login": f"{mine}login", "email": None}}


def second_factors(planter: Planter) -> Iterator[Given]:
    secret = encrypt(f"{mark(planter.tenant.slug)}factor")
    yield {"type": "totp", "data": {"secret": secret}}
    yield {"type": "recovery_codes", "data": {"seed": secret, "used_mask": 0}}
    passkey = credential(planter.tenant.slug.encode())
    yield {"type": "webauthn", "data": {"name": f"{mark(planter.tenant.slug)}passkey", "credential": passkey}}


# What a row of a model needs beyond what its fields' types say: one dict for each row, by the model's label.
PRO = {"plan": "pro", "generation": "2026-11"}  # one that there is
PLANTED: dict[str, Callable[[Planter], Any]] = {
    "account.EmailAddress": lambda planter: [{"email": planter.owner.email, "verified": True, "primary": True}],
    "admin.LogEntry": lambda planter: [],  # what operators did; Django's admin writes it
    "billing.MeterEvent": lambda planter: [PRO],
    "billing.PlanPeriod": lambda planter: [PRO],
    "billing.Subscription": lambda planter: [{**PRO, "next_plan": "", "next_generation": ""}],
    "chat.Citation": lambda planter: [{"message": planter.of(Message)[1]}],
    "chat.EvalCase": lambda planter: [{"message": planter.of(Message)[1], "sources": []}],
    "chat.EvalReport": lambda planter: [{"scores": {}, "drift": [], "prompt_versions": {}}],
    "chat.Feedback": lambda planter: [{"message": planter.of(Message)[1], "rating": 1, "reason": ""}],
    "chat.Message": messages,
    "knowledge.Chunk": lambda planter: [{"start": 0, "end": 10}],
    "knowledge.Document": documents,
    "mfa.Authenticator": second_factors,
    "prompts.PromptVersion": lambda planter: [{"is_live": True, "variables": [], "output_schema": None}],
    "runs.Batch": lambda planter: [{"status": "done", "columns": ["text"], "row_count": 1}],
    "runs.BatchResult": lambda planter: [{"status": "ok"}],
    "runs.ProviderBatch": lambda planter: [{"status": "done", "prices": [], "tried_ids": []}],
    "runs.BatchStep": lambda planter: [{"mapping": {}, "condition": None}],
    "runs.Budget": lambda planter: [{"scope": "feature"}],
    "runs.ModelRoute": lambda planter: [{"tier": "strong", "is_on": False}],  # it leads nowhere
    "runs.Run": lambda planter: [{"status": "ok", "finished_at": timezone.now(), "cost_usd": 1}],
    "runs.Spend": lambda planter: [{"scope": "feature"}],
    "socialaccount.SocialAccount": social_accounts,
    "tenants.ApiKey": keys,
    "tenants.Domain": domains,
    "tenants.Export": exports,
    "tenants.Invitation": invitations,
    "tenants.ProviderKey": lambda planter: [{"is_on": False}],  # nor does it
    "tenants.Membership": lambda planter: [{"user": person(planter.tenant.slug, role), "role": role} for role in BELOW],
}
BELOW = (Role.MEMBER, Role.ADMIN, Role.VIEWER)


def person(slug: str, name: str) -> User:
    """Somebody of that workspace, whose name and address are its own business."""
    mine = f"{mark(slug)}user-{name}"
    return User.objects.create_user(f"{mine}@{slug}.example", PASSWORD, name=mine)


def stranger(name: str, **fields: Any) -> User:
    return User.objects.create_user(f"{name}@elsewhere.example", PASSWORD, name=name.title(), **fields)


def personal_models() -> list[type[Row]]:
    """The models whose rows are a user's own, in whichever workspace that user is."""
    return [
        model
        for model in apps.get_models()
        if model not in owned_models() and any(field.related_model is User for field in model._meta.fields)
    ]


@dataclass(frozen=True)
class Side:
    """One tenant: its people by role, its rows by model. `personal` are the owner's own."""

    tenant: Tenant
    people: dict[str, User]
    rows: dict[type[Row], list[Row]]
    personal: dict[type[Row], list[Row]]

    @property
    def mark(self) -> str:
        return mark(self.tenant.slug)

    @property
    def token(self) -> str:
        """Of the link in its invitation."""
        return f"{self.tenant.pk.hex}.{secret_of(self.tenant.slug)}"

    @property
    def bearer(self) -> dict[str, str]:
        """The header that its own programs send."""
        return {"Authorization": f"Bearer {api_token_of(self.tenant)}"}

    @property
    def owner(self) -> User:
        return self.people[Role.OWNER]

    def first(self, label: str) -> Row:
        return self.rows[apps.get_model(label)][0]

    def ids(self) -> set[str]:
        """Every UUID by which something of this tenant's could be named."""
        named = [row.pk for rows in (*self.rows.values(), *self.personal.values()) for row in rows]
        named += [self.tenant.pk, *(user.pk for user in self.people.values())]
        return {str(pk) for pk in named if isinstance(pk, UUID)}


@dataclass(frozen=True)
class World:
    acme: Side
    globex: Side
    outsiders: dict[str, User | None]  # of Acme, by what they are
    invited: User  # into Acme, by an invitation that waits
    cookies: dict[UUID | None, dict[str, str]]  # of a signed-in browser, by user


def populate(slug: str) -> Side:
    """A workspace with rows of every model that has a tenant, files on disk and a reply being written in Redis."""
    owner = person(slug, Role.OWNER)
    tenant = create_workspace(f"{mark(slug)}name", owner=owner, slug=slug)
    planter = Planter(tenant, owner, PLANTED)
    with tenant_context(tenant):
        rows = {model: list(planter.of(model)) for model in owned_models()}
        personal = {model: list(planter.of(model)) for model in personal_models()}
        write_stream(rows[Message][-1])
    people = {Role.OWNER: owner} | {membership.role: membership.user for membership in rows[Membership]}
    return Side(tenant, people, rows, personal)


def write_stream(reply: Row) -> None:
    """What a process leaves in Redis while it writes a reply. Needs the tenant's context."""
    name, said = stream.key(reply.pk), f"{mark(reply.tenant.slug)}stream"
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.xadd(name, {"event": f'{{"type": "delta", "text": "{said}"}}'})
        client.set(f"{name}:alive", 1, ex=600)
        client.expire(name, 600)


def create() -> World:
    acme, globex = populate("acme"), populate("globex")
    outsiders = {
        "outsider": globex.owner,
        "removed": stranger("rita"),
        "nobody": stranger("nora"),
        "staff": stranger("sam", is_staff=True, is_superuser=True),
        "anonymous": None,
    }
    with tenant_context(acme.tenant):
        Membership.objects.create(user=outsiders["removed"], role=Role.MEMBER).delete()
    invited = User.objects.create_user("invited@acme.example", PASSWORD)
    everybody = [*acme.people.values(), *globex.people.values(), *outsiders.values(), invited]
    cookies = {user.pk: signed_in(user) for user in everybody if user}
    return World(acme, globex, outsiders, invited, {None: {}, **cookies})


def signed_in(user: User) -> dict[str, str]:
    """The cookies of a browser in which `user` has just given the password."""
    client = Client()
    client.force_login(user)
    session = client.session
    session["account_authentication_methods"] = [{"method": "password", "at": time(), "email": user.email}]
    session.save()
    return {name: morsel.value for name, morsel in client.cookies.items()}


def not_planted(world: World) -> list[str]:
    """What is missing for a sweep to mean anything."""
    return [
        f"{model._meta.label} has no row of {side.tenant.slug}'s: give PLANTED in tests/sweep/world.py a line for it."
        for side in (world.acme, world.globex)
        for model in owned_models()
        if not side.rows.get(model)
    ]
