from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from unfold.admin import ModelAdmin

from .models import Membership, Tenant, User
from .platform import AcrossTenants, require_platform

admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(ModelAdmin):
    list_display = ("email", "name", "is_active", "is_staff", "last_login", "created_at")
    list_filter = ("is_active", "is_staff")
    search_fields = ("email", "name")
    ordering = ("email",)
    fields = ("email", "name", "is_active", "is_staff", "last_login", "created_at")
    readonly_fields = ("email", "last_login", "created_at")  # whose mail is whose, only its owner may say

    def has_add_permission(self, request: Any) -> bool:
        return False  # people sign up

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False  # what they did stays; `active` shuts the door


@admin.register(Tenant)
class TenantAdmin(ModelAdmin):
    list_display = ("name", "slug", "members", "created_at")
    search_fields = ("name", "slug")
    ordering = ("name",)
    fields = ("name", "slug", "schema_name", "created_at")
    readonly_fields = ("schema_name", "created_at")

    def get_queryset(self, request: Any) -> QuerySet[Tenant]:
        everyone = Membership.unscoped.filter(tenant=OuterRef("pk")).order_by().values("tenant")
        members = Coalesce(Subquery(everyone.annotate(n=Count("id")).values("n")), 0)
        return Tenant.objects.using(require_platform()).annotate(members=members)

    @admin.display(description="Members", ordering="members")
    def members(self, tenant: Any) -> int:
        return tenant.members

    def has_add_permission(self, request: Any) -> bool:
        return False  # a workspace begins with its owner, at sign-up

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False


@admin.register(Membership)
class MembershipAdmin(AcrossTenants):
    list_display = ("tenant", "user", "role", "created_at")
    list_filter = ("role",)
    list_select_related = ("tenant", "user")
    search_fields = ("tenant__name", "tenant__slug", "user__email")
    ordering = ("tenant__name", "user__email")
