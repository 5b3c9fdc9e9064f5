"""Browsers at the main host and at a workspace's own domain."""

from typing import Any

from django.test import Client
from django.utils import timezone

from apps.tenants.context import tenant_context
from apps.tenants.models import Domain, Tenant, User
from tests.conftest import PASSWORD

OWN = "chat.acme.example"


def give_domain(tenant: Tenant, name: str = OWN, *, is_verified: bool = True) -> Domain:
    with tenant_context(tenant):
        return Domain.objects.create(domain=name, verified_at=timezone.now() if is_verified else None)


def at(host: str, user: User | None = None, **more: Any) -> Client:
    """A browser at `host`, signed in there through the form."""
    client = Client(headers={"host": host}, **more)
    if user:
        response = client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
        assert response.status_code == 302, response.content
    return client
