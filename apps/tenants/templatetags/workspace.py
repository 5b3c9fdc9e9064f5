"""Links between the two sitemaps, which `{% url %}` can't make."""

from typing import Any

from django import template
from django.conf import settings
from django.urls import get_script_prefix, reverse, set_script_prefix

from ..hosts import SERVED_EVERYWHERE, current_domain
from ..models import Tenant

register = template.Library()


def reverse_under(prefix: str, urlconf: str, name: str, args: tuple[Any, ...]) -> str:
    outer = get_script_prefix()
    set_script_prefix(prefix)
    try:
        return reverse(name, urlconf=urlconf, args=args)
    finally:
        set_script_prefix(outer)


@register.simple_tag
def hub_url(name: str, *args: Any) -> str:
    """The address of a hub page (landing, sign-in, workspaces) from anywhere."""
    path = reverse_under("/", settings.ROOT_URLCONF, name, args)
    return path if not current_domain() or name in SERVED_EVERYWHERE else settings.PUBLIC_URL + path


@register.simple_tag
def workspace_url(tenant: Tenant, name: str, *args: Any) -> str:
    """The address of a page in `tenant`'s workspace from anywhere."""
    domain = current_domain()
    if domain and domain.tenant_id == tenant.id:
        return reverse_under("/", settings.WORKSPACE_URLCONF, name, args)
    path = reverse_under(f"/t/{tenant.slug}/", settings.WORKSPACE_URLCONF, name, args)
    return settings.PUBLIC_URL + path if domain else path
