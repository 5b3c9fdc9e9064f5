"""A workspace's admin: pages to read, over the active workspace's rows."""

from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from unfold.admin import ModelAdmin

from .models import AuditEvent, Domain, Flag, Invitation, Membership, ProviderKey
from .permissions import Permission, allowed


class OfWorkspace(ModelAdmin):
    """A page over the workspace's rows that changes nothing, for members who have `permission`."""

    permission: ClassVar[Permission] = Permission.CHANGE_SETTINGS
    actions: ClassVar[Any] = None
    list_per_page = 50

    def get_queryset(self, request: Any) -> QuerySet[Any]:
        return self.model.objects.all()

    def has_module_permission(self, request: Any) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: Any, obj: Any = None) -> bool:
        return allowed(request.membership, self.permission)

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False


class MemberFilter(admin.SimpleListFilter):
    """By a person, out of this workspace's members alone: users are global, and Django would list them all.

    It lists the first of them, and follows an address that names any.
    """

    title = "member"
    parameter_name = "member"
    field = "user"
    most_listed = 100

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        members = Membership.objects.order_by("user__email").values_list("user_id", "user__email")
        listed = list(members[: self.most_listed + 1])
        if len(listed) > self.most_listed:
            self.title = f"member (the first {self.most_listed})"
        return [(str(user_id), email) for user_id, email in listed[: self.most_listed]]

    def queryset(self, request: Any, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() is None:
            return queryset
        try:
            member = Membership.objects.get(user_id=self.value())
        except (Membership.DoesNotExist, ValidationError):  # a stranger; no id at all
            return queryset.none()
        return queryset.filter(**{self.field: member.user_id})


class ActorFilter(MemberFilter):
    field = "actor"


class MembershipAdmin(OfWorkspace):
    permission = Permission.MANAGE_MEMBERS
    list_display = ("email", "user", "role", "created_at")
    list_filter = ("role",)
    list_select_related = ("user",)
    search_fields = ("user__email", "user__name")
    ordering = ("user__email",)
    fields = ("email", "user", "role", "created_at")

    @admin.display(description="E-mail address", ordering="user__email")
    def email(self, membership: Membership) -> str:
        return membership.user.email


class InvitationAdmin(OfWorkspace):
    permission = Permission.MANAGE_MEMBERS
    list_display = ("email", "role", "is_open", "invited_by", "created_at", "expires_at", "accepted_at", "revoked_at")
    list_filter = ("role",)
    list_select_related = ("invited_by",)
    search_fields = ("email",)
    ordering = ("-created_at",)
    fields = (
        "email",
        "role",
        "invited_by",
        "created_at",
        "expires_at",
        "accepted_at",
        "accepted_by",
        "revoked_at",
    )

    @admin.display(boolean=True, description="Open")
    def is_open(self, invitation: Invitation) -> bool:
        return invitation.is_open


class DomainAdmin(OfWorkspace):
    list_display = ("domain", "in_use", "verified_at", "checked_at", "last_error")
    search_fields = ("domain",)
    ordering = ("domain",)
    fields = ("domain", "verified_at", "checked_at", "last_error", "created_at")

    @admin.display(boolean=True, description="In use")
    def in_use(self, domain: Domain) -> bool:
        return domain.verified_at is not None


class AuditEventAdmin(OfWorkspace):
    permission = Permission.READ_AUDIT_LOG
    list_display = ("at", "who", "action", "target_name", "ip")
    list_filter = ("action", ActorFilter)
    search_fields = ("actor_email", "action", "target_name")
    date_hierarchy = "at"
    ordering = ("-at",)
    fields = ("at", "who", "action", "target_type", "target_name", "target_id", "details", "ip", "user_agent")

    @admin.display(description="Who", ordering="actor_email")
    def who(self, event: AuditEvent) -> str:
        return event.actor_email or "nobody signed in"


class FlagAdmin(OfWorkspace):
    """What an operator switched off for everybody is shown in the settings."""

    list_display = ("name", "is_on", "by_operator", "note", "changed_by", "changed_at")
    list_select_related = ("changed_by",)
    ordering = ("name",)
    fields = ("name", "is_on", "by_operator", "note", "changed_by", "changed_at")

    def get_queryset(self, request: Any) -> QuerySet[Flag]:
        return Flag.objects.filter(tenant=request.workspace)


class ProviderKeyAdmin(OfWorkspace):
    """Everything of an account but its key."""

    list_display = ("name", "kind", "ends_with", "is_on", "tested_at", "last_error")
    list_filter = ("kind", "is_on")
    search_fields = ("name",)
    ordering = ("name",)
    fields = (
        *("name", "kind", "base_url", "ends_with", "model_names", "input_usd", "output_usd", "is_on"),
        *("created_by", "created_at", "tested_at", "last_error"),
    )

    @admin.display(description="Key")
    def ends_with(self, provider_key: ProviderKey) -> str:
        return f"•••• {provider_key.last_four}".rstrip()
