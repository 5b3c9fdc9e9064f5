"""What a role may do: one table, asked by views, sockets, templates and tests alike."""

from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from typing import Any, TypeVar

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from .models import Membership

View = TypeVar("View", bound=Callable[..., Any])

OWNER, ADMIN, MEMBER, VIEWER = (
    Membership.Role.OWNER,
    Membership.Role.ADMIN,
    Membership.Role.MEMBER,
    Membership.Role.VIEWER,
)


class Permission(StrEnum):
    READ = "read documents, search, and see one's own use"
    ASK = "ask questions and keep one's own conversations"
    LEAVE = "leave the workspace"
    CHANGE_DOCUMENTS = "add, retry and remove documents"
    RUN_BATCHES = "make, start and stop batches, and see their results"
    SEE_ALL_RUNS = "see every member's calls and costs"
    MANAGE_MEMBERS = "invite, remove and change the role of members"
    CHANGE_SETTINGS = "change settings and domains, open the workspace's admin"
    MANAGE_BUDGETS = "set budgets, and see what everybody has used of them"
    MANAGE_PROMPTS = "write, try, publish and roll back prompts"
    MANAGE_KEYS = "make and revoke API keys"
    READ_AUDIT_LOG = "read and export the audit log"
    MANAGE_OWNERS = "make and unmake owners, hand the workspace over"
    EXPORT = "take out everything the workspace owns"
    MANAGE_BILLING = "choose a plan, pay for it, and see its invoices"
    DELETE_WORKSPACE = "delete the workspace"


EVERYBODY = frozenset({OWNER, ADMIN, MEMBER, VIEWER})
EDITORS = frozenset({OWNER, ADMIN, MEMBER})
ADMINS = frozenset({OWNER, ADMIN})
OWNERS = frozenset({OWNER})

ROLES_ALLOWED: dict[Permission, frozenset[Membership.Role]] = {
    Permission.READ: EVERYBODY,
    Permission.ASK: EVERYBODY,
    Permission.LEAVE: EVERYBODY,
    Permission.CHANGE_DOCUMENTS: EDITORS,
    Permission.RUN_BATCHES: EDITORS,
    Permission.SEE_ALL_RUNS: ADMINS,
    Permission.MANAGE_MEMBERS: ADMINS,
    Permission.CHANGE_SETTINGS: ADMINS,
    Permission.MANAGE_BUDGETS: ADMINS,
    Permission.MANAGE_PROMPTS: ADMINS,
    Permission.MANAGE_KEYS: ADMINS,
    Permission.READ_AUDIT_LOG: ADMINS,
    Permission.MANAGE_OWNERS: OWNERS,
    Permission.EXPORT: OWNERS,
    Permission.MANAGE_BILLING: OWNERS,
    Permission.DELETE_WORKSPACE: OWNERS,
}


def allowed(membership: Membership, permission: Permission) -> bool:
    return membership.role in ROLES_ALLOWED[permission]


def needs(permission: Permission) -> Callable[[View], View]:
    """For a workspace's views: who may not gets 403. The middleware serves no view that names no permission."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            if not allowed(request.membership, permission):  # type: ignore[attr-defined]
                raise PermissionDenied
            return view(request, *args, **kwargs)

        guarded.permission = permission  # type: ignore[attr-defined]
        return guarded  # type: ignore[return-value]

    return decorate


class May:
    """`{% if may.change_settings %}` in templates: the permissions by name, for one membership."""

    def __init__(self, membership: Membership | None) -> None:
        self._membership = membership

    def __getitem__(self, name: str) -> bool:
        return self._membership is not None and allowed(self._membership, Permission[name.upper()])
