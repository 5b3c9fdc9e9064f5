"""The database alias of the role that sees every tenant. Operators' code names it; nothing else may."""

from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db.models import QuerySet
from unfold.admin import ModelAdmin

from .models import Tenant

PLATFORM = "platform"


def require_platform() -> str:
    """The alias. Raises ImproperlyConfigured where this process was not given the role's URL."""
    if PLATFORM not in settings.DATABASES:
        raise ImproperlyConfigured(
            "DATABASE_PLATFORM_URL is not set. Write the URL of the role corbel_platform; "
            "`python -m config.roles` prints it."
        )
    return PLATFORM


def find_workspace(slug: str) -> Tenant:
    """The workspace with this address, for an operator who is no member. Raises Tenant.DoesNotExist."""
    tenant: Tenant = Tenant.objects.using(require_platform()).get(slug=slug)
    tenant._state.db = "default"  # whatever is done to it next is done in its own context
    return tenant


class AcrossTenants(ModelAdmin):
    """A read-only admin page over every tenant's rows."""

    def get_queryset(self, request: Any) -> QuerySet[Any]:
        return self.model.unscoped.using(require_platform())

    def get_fields(self, request: Any, obj: Any = None) -> list[str]:
        """Named: to find them itself, Django builds a form, whose choices are one tenant's rows, and there is none."""
        return [field.name for field in self.model._meta.fields if field.editable]

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False
