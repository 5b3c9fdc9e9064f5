"""Who: users are global; what a user may see comes from Membership."""

import re
import uuid
from typing import Any, ClassVar, Self

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Lower
from django_tenants.models import DomainMixin, TenantMixin

from .owned import TenantOwned

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
RESERVED_SLUGS = frozenset(
    "accounts admin api app assets billing corbel docs healthz help login logout me new null platform public root "
    "settings signup static support system t tenants undefined workspaces www".split()
)


def validate_slug(slug: str) -> None:
    """Raises ValidationError unless `slug` can be a workspace's address: ASCII, lower case, not reserved."""
    if not SLUG.fullmatch(slug):
        raise ValidationError(
            "Use 1 to 40 lower-case letters a to z, digits and hyphens, with no hyphen at either end.",
            code="invalid",
        )
    if slug in RESERVED_SLUGS:
        raise ValidationError(f"“{slug}” is reserved. Choose another address.", code="reserved")


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        if not email:
            raise ValueError("A user needs an e-mail address.")
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, **fields, is_staff=True, is_superuser=True)

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email__iexact=username)


class User(AbstractBaseUser, PermissionsMixin):
    """A person, known by e-mail address. `is_staff` opens the platform's admin, never a workspace."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField("e-mail address")
    name = models.CharField(max_length=120, blank=True)
    is_active = models.BooleanField("active", default=True)
    is_staff = models.BooleanField("platform staff", default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects = UserManager()

    class Meta:
        constraints = [models.UniqueConstraint(Lower("email"), name="user_email_unique_in_any_case")]

    def __str__(self) -> str:
        return self.name or self.email


class Tenant(TenantMixin):
    """A workspace: one customer. Pooled, unless a schema named `schema_name` exists."""

    auto_create_schema = False
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=80)
    slug = models.CharField("address", max_length=40, unique=True, validators=[validate_slug])
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self.schema_name:  # type: ignore[has-type]
            self.schema_name = "t_" + self.id.hex  # from the id: a changed address moves no schema
        super().save(*args, **kwargs)


class Domain(DomainMixin):
    """A host name of a workspace."""

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(domain=Lower("domain")), name="domain_lower_case")]


class MembershipQuerySet(models.QuerySet["Membership"]):
    def of(self, user: User) -> Self:
        """The user's own memberships in every workspace; needs `user_context(user)`."""
        return self.filter(user=user).select_related("tenant").order_by("tenant__name")


class Membership(TenantOwned):
    """A user's place in a workspace. Users read their own in every workspace, so that they can switch."""

    class Role(models.TextChoices):
        OWNER = "owner", "Owner"
        ADMIN = "admin", "Admin"
        MEMBER = "member", "Member"
        VIEWER = "viewer", "Viewer"

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=12, choices=Role, default=Role.MEMBER)
    created_at = models.DateTimeField(auto_now_add=True)

    unscoped: ClassVar[models.Manager[Any]] = MembershipQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "user"], name="membership_once_per_user")]
        indexes = [models.Index(fields=["user"], name="membership_user")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.role}"

    @property
    def may_edit(self) -> bool:
        """Whether they may add and remove documents."""
        return self.role != self.Role.VIEWER
