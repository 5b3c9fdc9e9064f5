from contextlib import nullcontext
from contextvars import copy_context
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import BooleanField, Count, OuterRef, QuerySet, Subquery
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce
from django.utils.text import get_text_list
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminSelectWidget

from . import flags
from .audit import record
from .change import change as change_workspace
from .context import tenant_context, tenant_id_context
from .dead_letter_admin import EveryDeadLetterAdmin  # noqa: F401  (registers itself)
from .doors import close_doors
from .forms import clean_address
from .models import Flag, Membership, Tenant, User
from .platform import AcrossTenants, require_platform
from .signup import SlugTaken
from .suspend import resume, suspend

HAS_SCHEMA = "EXISTS (SELECT FROM pg_namespace WHERE nspname = tenants_tenant.schema_name)"

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

    def save_model(self, request: Any, obj: User, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if not obj.is_active:
            transaction.on_commit(partial(close_doors, user_id=obj.pk), using=obj._state.db)


class TenantForm(forms.ModelForm):
    def clean_slug(self) -> str:
        """Compared where every workspace is seen: Django's own check would ask the default connection."""
        slug = clean_address(self.cleaned_data["slug"])
        if Tenant.objects.using(require_platform()).filter(slug=slug).exclude(pk=self.instance.pk).exists():
            raise ValidationError(str(SlugTaken(slug)))
        return slug


@admin.register(Tenant)
class TenantAdmin(ModelAdmin):
    form = TenantForm
    list_display = ("name", "slug", "status", "kind", "members", "created_at")
    list_filter = ("status",)
    search_fields = ("name", "slug")
    ordering = ("name",)
    fields = ("name", "slug", "status", "kind", "schema_name", "created_at")
    readonly_fields = ("status", "kind", "schema_name", "created_at")
    actions = ("suspend", "resume")

    def get_queryset(self, request: Any) -> QuerySet[Tenant]:
        everyone = Membership.unscoped.filter(tenant=OuterRef("pk")).order_by().values("tenant")
        members = Coalesce(Subquery(everyone.annotate(n=Count("id")).values("n")), 0)
        is_silo = RawSQL(HAS_SCHEMA, [], output_field=BooleanField())  # noqa: S611  (no value goes into it)
        return Tenant.objects.using(require_platform()).annotate(members=members, is_silo=is_silo)

    @admin.display(description="Members", ordering="members")
    def members(self, tenant: Any) -> int:
        return tenant.members

    @admin.display(description="Kind", ordering="is_silo")
    def kind(self, tenant: Any) -> str:
        return "silo" if tenant.is_silo else "pool"

    @admin.action(description="Suspend: nobody gets in until it is resumed", permissions=["change"])
    def suspend(self, request: Any, queryset: QuerySet[Tenant]) -> None:
        self.tell(request, [tenant.name for tenant in queryset if suspend(tenant)], "suspended")

    @admin.action(description="Resume what is suspended", permissions=["change"])
    def resume(self, request: Any, queryset: QuerySet[Tenant]) -> None:
        self.tell(request, [tenant.name for tenant in queryset if resume(tenant)], "open again")

    def tell(self, request: Any, names: list[str], state: str) -> None:
        if names:
            verb = "is" if len(names) == 1 else "are"
            messages.success(request, f"{get_text_list(names, 'and')} {verb} {state}.")
        else:
            messages.warning(request, f"Nothing changed: none of these could be {state}.")

    def save_model(self, request: Any, obj: Tenant, form: Any, change: bool) -> None:
        """As its own settings do it: in its context and on its connection, where the log is written too."""
        with tenant_context(obj):
            change_workspace(obj, **{name: form.cleaned_data[name] for name in form.changed_data})

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


class FlagForm(forms.ModelForm):
    name = forms.ChoiceField(
        label="Feature",
        choices=[(feature.name, feature.label) for feature in flags.FEATURES.values()],
        widget=UnfoldAdminSelectWidget,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not kwargs.get("instance"):
            kwargs["initial"] = {"is_on": False, **(kwargs.get("initial") or {})}  # one adds a switch to switch off
        super().__init__(*args, **kwargs)
        # Django would compare it with the rows of a workspace, and there is none; `clean` compares it with all.
        self.instance.validate_constraints = lambda exclude=None: None

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        twins = Flag.unscoped.using(require_platform()).filter(
            tenant=data.get("tenant"), name=data.get("name"), by_operator=True
        )
        if twins.exclude(pk=self.instance.pk).exists():
            raise ValidationError("There is such a switch already. Change that one.")
        return data


@admin.register(Flag)
class FlagAdmin(ModelAdmin):
    """An operator's switches, for everybody or for one workspace. What a workspace switched itself is its own."""

    form = FlagForm
    list_display = ("name", "whose", "is_on", "note", "changed_by", "changed_at")
    list_filter = ("is_on", "name")
    list_select_related = ("tenant", "changed_by")
    ordering = ("name", "tenant__name")
    fields = ("name", "tenant", "is_on", "note")

    def get_queryset(self, request: Any) -> QuerySet[Flag]:
        return Flag.unscoped.using(require_platform()).filter(by_operator=True)

    def formfield_for_foreignkey(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        if db_field.name == "tenant":
            kwargs["queryset"] = Tenant.objects.using(require_platform()).order_by("name")
            kwargs["empty_label"] = "Everybody"
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    @admin.display(description="For", ordering="tenant__name")
    def whose(self, flag: Flag) -> str:
        return flag.tenant.name if flag.tenant else "everybody"

    def save_model(self, request: Any, obj: Flag, form: Any, change: bool) -> None:
        obj.by_operator, obj.changed_by_id = True, request.user.pk
        obj.save(using=require_platform())
        tell(obj, "on" if obj.is_on else "off")

    def delete_model(self, request: Any, obj: Flag) -> None:
        obj.delete(using=require_platform())
        tell(obj, "on")

    def delete_queryset(self, request: Any, queryset: QuerySet[Flag]) -> None:
        for flag in queryset:
            self.delete_model(request, flag)


def tell(flag: Flag, state: str) -> None:
    """Write it into the log of the workspace, if it is one's; for everybody there is Django's log of the platform. And
    what has waited is taken up once this is committed."""
    with tenant_id_context(flag.tenant_id) if flag.tenant_id else nullcontext():
        if flag.tenant_id:
            record("flag.switched", flag, feature=flags.FEATURES[flag.name].label, state=state, why=flag.note)
        if state == "on":
            taking_up = partial(copy_context().run, flags.switched_on.send, sender=Flag)
            transaction.on_commit(taking_up, using=require_platform())
