"""Who: users are global; what a user may see comes from Membership."""

import re
import secrets
import uuid
from datetime import timedelta
from typing import Any, ClassVar, Self

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Lower, Now
from django.utils import timezone
from django_tenants.models import TenantMixin

from .context import schema_of, tenant_id_context
from .owned import TenantManager, TenantOrDefault, TenantOwned

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


class Tier(models.TextChoices):
    """What a model is good for, and so what it costs."""

    CHEAP = "cheap", "Cheap"
    STANDARD = "standard", "Standard"
    STRONG = "strong", "Strong"


class TenantQuerySet(models.QuerySet["Tenant"]):
    def with_id(self, tenant_id: uuid.UUID) -> "Tenant | None":
        """The tenant itself, where nobody who may see it is acting yet: in a worker, behind a link, on a host."""
        with tenant_id_context(tenant_id):
            return self.filter(pk=tenant_id).first()


class Tenant(TenantMixin):
    """A workspace: one customer. Pooled, unless a schema named `schema_name` exists.

    Its row is seen by its members and written in its own context only; row-level security holds that too.
    `allowed_models` empty means every configured model; `passages_per_answer` None means the product's default.
    The limits are what its plan allows, None for no limit; billing writes them. `seats` is how many members and open
    invitations it may have, `features` the names of those that it has, None for all. It writes `queue_weight` by
    `queue_weight.change`: one of weight 2 is served twice as often as one of weight 1 while both wait.
    `policy_revision` is counted up by the database whenever something changes that decides how models are called for
    it.
    """

    class Status(models.TextChoices):
        ACTIVE = "active", "Active"
        SUSPENDED = "suspended", "Suspended"
        LEAVING = "leaving", "Being deleted"

    auto_create_schema = False
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=80)
    slug = models.CharField("address", max_length=40, unique=True, validators=[validate_slug])
    status = models.CharField(max_length=9, choices=Status, default=Status.ACTIVE)
    mfa_required = models.BooleanField("require a second factor of every member", default=False)
    allowed_models = ArrayField(models.CharField(max_length=80), default=list, blank=True)
    passages_per_answer = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(20)]
    )
    requests_per_minute = models.PositiveIntegerField("requests per minute of one person", null=True, blank=True)
    tokens_per_day = models.PositiveBigIntegerField("tokens per day of everybody", null=True, blank=True)
    queue_weight = models.FloatField(
        "weight in the queues", default=1, validators=[MinValueValidator(0.1), MaxValueValidator(100)]
    )
    highest_tier = models.CharField("dearest tier of models", max_length=8, choices=Tier, default=Tier.STRONG)
    seats = models.PositiveIntegerField("members and open invitations", null=True, blank=True)
    features = ArrayField(models.CharField(max_length=40), null=True, blank=True)
    samples_answers = models.BooleanField("have answers measured every night", default=False)
    policy_revision = models.PositiveBigIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[Any] = TenantQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name

    @property
    def is_active(self) -> bool:
        return self.status == self.Status.ACTIVE

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self.schema_name:  # type: ignore[has-type]
            self.schema_name = schema_of(self.id)
        super().save(*args, **kwargs)

    def _check_schema_name_is_unique(self) -> None:
        """Nothing: it is made from the id, and the column is unique. django-tenants would read every workspace's."""


def domain_token() -> str:
    return secrets.token_hex(16)


class Domain(TenantOwned):
    """A host name that a workspace says is its own. It counts once a TXT record holding `token` was found.

    Anybody may claim any name; only one claim can be verified.
    """

    domain = models.CharField(max_length=253)
    token = models.CharField(max_length=32, default=domain_token, editable=False)
    verified_at = models.DateTimeField(null=True, editable=False)
    checked_at = models.DateTimeField(null=True, editable=False)
    last_error = models.CharField(max_length=300, blank=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(domain=Lower("domain")), name="domain_lower_case"),
            models.UniqueConstraint(fields=["tenant", "domain"], name="domain_claimed_once"),
            models.UniqueConstraint(
                fields=["domain"], condition=models.Q(verified_at__isnull=False), name="domain_verified_once"
            ),
        ]

    def __str__(self) -> str:
        return self.domain


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


class Invitation(TenantOwned):
    """A place offered to the owner of an e-mail address. The link's secret is not kept, only its SHA-256 in hex."""

    email = models.EmailField()
    role = models.CharField(max_length=12, choices=Membership.Role, default=Membership.Role.MEMBER)
    invited_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    token_digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, editable=False)
    accepted_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+", editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(email=Lower("email")), name="invitation_lower_case")]
        indexes = [models.Index(fields=["tenant", "-created_at"], name="invitation_by_time")]

    def __str__(self) -> str:
        return self.email

    @property
    def is_open(self) -> bool:
        return not self.accepted_at and not self.revoked_at and self.expires_at > timezone.now()


class AuditEvent(TenantOwned):
    """Who did what to which thing, when and from where. Written by `audit.record`; the database takes no change.

    `actor_email` and `target_name` are copies, so that an event still says something when they are gone.
    """

    at = models.DateTimeField(db_default=Now(), editable=False)
    actor = models.ForeignKey(User, null=True, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False)
    actor_email = models.CharField(max_length=254, blank=True)
    action = models.CharField(max_length=60)
    target_type = models.CharField(max_length=60, blank=True)
    target_id = models.CharField(max_length=60, blank=True)
    target_name = models.CharField(max_length=300, blank=True)
    details = models.JSONField(default=dict)
    ip = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=200, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["tenant", "-at"], name="audit_by_time"),
            models.Index(fields=["tenant", "actor_email", "-at"], name="audit_by_person"),
            models.Index(fields=["tenant", "action", "-at"], name="audit_by_action"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_email} {self.action} {self.target_name}"


def export_path(export: "Export", filename: str) -> str:
    return f"{export.tenant_id}/exports/{export.id}.zip"


class Export(TenantOwned):
    """An archive of everything a workspace owns, and how far making it has come; one at a time is being made.

    `done` and `total` count rows and files. `attempt` names the one who may write; a newer one takes over and an
    earlier one stops. `progressed_at` is when one last did.
    """

    class Status(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        READY = "ready", "Ready"
        FAILED = "failed", "Failed"

    UNFINISHED = (Status.QUEUED, Status.RUNNING)
    STALLED_AFTER = timedelta(minutes=2)

    requested_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    status = models.CharField(max_length=7, choices=Status, default=Status.QUEUED)
    attempt = models.UUIDField(null=True, editable=False)
    progressed_at = models.DateTimeField(db_default=Now(), editable=False)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    file = models.FileField(upload_to=export_path, max_length=200, blank=True)
    size_bytes = models.PositiveBigIntegerField(default=0)
    error_message = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    finished_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant"], condition=models.Q(status__in=["queued", "running"]), name="export_one_at_a_time"
            )
        ]
        indexes = [models.Index(fields=["tenant", "-created_at"], name="export_by_time")]

    def __str__(self) -> str:
        return f"{self.created_at:%Y-%m-%d} {self.status}"

    @property
    def is_busy(self) -> bool:
        return self.status in self.UNFINISHED

    @property
    def is_stalled(self) -> bool:
        """Whether nothing has happened for so long that a person should be able to do something."""
        return self.is_busy and timezone.now() - self.progressed_at > self.STALLED_AFTER

    @property
    def is_ready(self) -> bool:
        return self.status == self.Status.READY and self.expires_at is not None and self.expires_at > timezone.now()


class ApiKey(TenantOwned):
    """Lets a program call the API for the workspace. The key is shown once; its SHA-256 in hex is kept."""

    name = models.CharField(max_length=80)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    last_four = models.CharField(max_length=4, editable=False)
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "id"], name="api_key_tenant_id")]
        indexes = [models.Index(fields=["tenant", "-created_at"], name="api_key_by_time")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_open(self) -> bool:
        return not self.revoked_at and (self.expires_at is None or self.expires_at > timezone.now())


class DataKey(TenantOwned):
    """What a workspace's secrets are encrypted with, itself encrypted with a master key: `master` says which."""

    wrapped = models.BinaryField()
    master = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "id"], name="data_key_tenant_id")]

    def __str__(self) -> str:
        return self.master


class ProviderKey(TenantOwned):
    """A workspace's own account with a provider, and the models that are asked through it.

    The key is sealed with `data_key` and opened only where a call is made. Prices are US dollars per million tokens,
    of all its models; without them the installation's prices of that kind of provider count.
    """

    class Kind(models.TextChoices):
        OPENAI = "openai", "OpenAI, or a server that speaks its API"
        ANTHROPIC = "anthropic", "Anthropic"

    name = models.SlugField(max_length=40)
    kind = models.CharField(max_length=12, choices=Kind, default=Kind.OPENAI)
    base_url = models.URLField(max_length=300, blank=True)
    sealed = models.BinaryField(editable=False)
    data_key = models.ForeignKey(
        DataKey, on_delete=models.PROTECT, related_name="+", db_constraint=False, editable=False
    )
    last_four = models.CharField(max_length=4, editable=False)
    model_names = ArrayField(models.CharField(max_length=120), default=list)
    input_usd = models.DecimalField("input, $ per million", max_digits=14, decimal_places=6, null=True, blank=True)
    output_usd = models.DecimalField("output, $ per million", max_digits=14, decimal_places=6, null=True, blank=True)
    is_on = models.BooleanField("in use", default=True)
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    tested_at = models.DateTimeField(null=True, editable=False)
    last_error = models.CharField(max_length=300, blank=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "id"], name="provider_key_tenant_id"),
            models.UniqueConstraint(fields=["tenant", "name"], name="provider_key_name"),
            models.CheckConstraint(
                condition=models.Q(input_usd=None, output_usd=None) | models.Q(input_usd__gte=0, output_usd__gte=0),
                name="provider_key_both_prices",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Flag(TenantOrDefault):
    """A switch of one AI feature: for everybody without a tenant, else for that one. Off anywhere is off.

    An operator's is a row beside the workspace's own, which can't undo it.
    """

    name = models.CharField("feature", max_length=40)
    by_operator = models.BooleanField(default=False, editable=False)
    is_on = models.BooleanField("on", default=True)
    note = models.CharField("why", max_length=200, blank=True)
    changed_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+", editable=False)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name", "by_operator"], name="flag_once", nulls_distinct=False)
        ]

    def __str__(self) -> str:
        return self.name


class DeadLetter(models.Model):
    """A task that was given up, until somebody has it tried again. Without a tenant it is the platform's own.

    `args` are ids; None where they weren't, and then it can't be tried again from here.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, null=True, editable=False, related_name="+")
    task = models.CharField(max_length=200, editable=False)
    task_id = models.CharField(max_length=80, unique=True, editable=False)
    queue = models.CharField(max_length=40, editable=False)
    args = models.JSONField("arguments", null=True, editable=False)
    error_class = models.CharField("error", max_length=120, editable=False)
    error_message = models.CharField("what it said", max_length=500, blank=True, editable=False)
    tries = models.PositiveIntegerField(default=1, editable=False)
    first_at = models.DateTimeField("first queued", editable=False)
    last_at = models.DateTimeField("given up", editable=False)

    objects: ClassVar[TenantManager] = TenantManager()
    unscoped: ClassVar[models.Manager[Any]] = models.Manager()

    class Meta:
        indexes = [models.Index(fields=["tenant", "-last_at"], name="dead_letter_by_time")]

    def __str__(self) -> str:
        return self.task.rpartition(".")[2]


class Effect(TenantOwned):
    """What a task did, or is doing, outside of our database, by a name that says what: see `apps.tenants.once`."""

    name = models.CharField(max_length=200)
    begun_at = models.DateTimeField(db_default=Now())
    done_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="effect_once")]

    def __str__(self) -> str:
        return self.name
