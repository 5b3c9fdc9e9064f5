"""Who is acting: the tenant and the user of the current request, task or coroutine.

One ContextVar is the only source of truth. It follows a request across threads and awaits, and the database
backend reads it before every statement, so that row-level security always sees the same tenant as the code.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from .models import Tenant, User


class NoTenant(RuntimeError):
    """A query for a tenant's rows where no tenant is active."""


@dataclass(frozen=True, slots=True)
class Scope:
    tenant_id: UUID | None = None
    schema_name: str | None = None
    user_id: UUID | None = None


NOBODY = Scope()
_scope: ContextVar[Scope] = ContextVar("scope", default=NOBODY)


def current_scope() -> Scope:
    return _scope.get()


def current_tenant_id() -> UUID | None:
    return _scope.get().tenant_id


def require_tenant_id() -> UUID:
    """The active tenant's id. Raises NoTenant outside `tenant_context`."""
    tenant_id = _scope.get().tenant_id
    if tenant_id is None:
        raise NoTenant("No tenant is active: run this inside `with tenant_context(tenant):`.")
    return tenant_id


def schema_of(tenant_id: UUID) -> str:
    """The name of a tenant's schema, should it have one. From the id: a changed address moves no schema."""
    return "t_" + tenant_id.hex


def tenant_context(tenant: "Tenant") -> AbstractContextManager[None]:
    """Act for `tenant`. Nests; the tenant before comes back at the end."""
    return tenant_id_context(tenant.id)


@contextmanager
def tenant_id_context(tenant_id: UUID) -> Iterator[None]:
    """Act for the tenant of that id, which something trusted named: a task's header, a link's secret."""
    token = _scope.set(replace(_scope.get(), tenant_id=tenant_id, schema_name=schema_of(tenant_id)))
    try:
        yield
    finally:
        _scope.reset(token)


@contextmanager
def user_context(user: "User") -> Iterator[None]:
    """Act as `user`, who may then read their own memberships in every tenant."""
    token = _scope.set(replace(_scope.get(), user_id=user.id))
    try:
        yield
    finally:
        _scope.reset(token)
