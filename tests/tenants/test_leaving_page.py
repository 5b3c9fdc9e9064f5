"""Where an owner deletes a workspace: only who is sure, and what its people see then."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.http import HttpResponse
from django.test import Client

from apps.tenants.context import tenant_context
from apps.tenants.models import AuditEvent, Membership, User
from apps.tenants.tasks import erase_workspace
from tests.conftest import PASSWORD, Cast, signed_in

from .belongings import forget_all, queued, status

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "platform"])


@pytest.fixture(autouse=True)
def queue(transactional_db: None, media: Path) -> Iterator[None]:
    """A real broker that no worker listens to, and no keys of other tests."""
    forget_all()
    yield
    forget_all()


def delete(client: Client, address: str = "acme") -> HttpResponse:
    return client.post("/t/acme/leaving/delete/", {"address": address})


def sure(user: User) -> Client:
    """Signed in, and has just proved it once more."""
    client = signed_in(user)
    assert client.post("/accounts/reauthenticate/", {"password": PASSWORD}).status_code == 302
    return client


def test_it_is_closed_at_once_and_its_people_land_on_their_feet(committed_cast: Cast) -> None:
    alice, bob = sure(committed_cast.alice), signed_in(committed_cast.bob)

    response = delete(alice)

    assert (response.status_code, response.url) == (302, "/workspaces/?all")
    page = bob.get("/t/acme/")
    assert page.status_code == 403 and "is being deleted" in page.content.decode()
    assert status(committed_cast.acme) == "leaving"
    assert "You are in no workspace yet." in bob.get("/workspaces/").content.decode()
    erase_workspace.apply(args=queued()["apps.tenants.tasks.erase_workspace"], throw=True)
    assert bob.get("/t/acme/").status_code == 404
    assert "You are in no workspace yet." in bob.get("/workspaces/").content.decode()
    assert signed_in(committed_cast.charlie).get("/t/globex/").status_code == 200


def test_the_address_has_to_be_typed(committed_cast: Cast) -> None:
    alice = sure(committed_cast.alice)
    for wrong in ("", "globex", "Acme"):
        response = delete(alice, wrong)
        assert response.status_code == 422
        assert "That is not its address. Write acme to delete it." in response.content.decode()

    assert status(committed_cast.acme) == "active"


def test_who_has_not_proved_who_they_are_is_asked_to(committed_cast: Cast) -> None:
    alice = signed_in(committed_cast.alice)
    assert "Prove who you are first" in alice.get("/t/acme/leaving/").content.decode()

    asked = delete(alice)

    assert asked.url == "/accounts/reauthenticate/?next=%2Ft%2Facme%2Fleaving%2F%23delete"
    assert status(committed_cast.acme) == "active"
    back = alice.post(asked.url, {"password": PASSWORD})
    assert back.url == "/t/acme/leaving/#delete"
    assert 'name="address"' in alice.get("/t/acme/leaving/").content.decode()


def test_owners_only(committed_cast: Cast) -> None:
    for role in (Membership.Role.ADMIN, Membership.Role.MEMBER, Membership.Role.VIEWER):
        with tenant_context(committed_cast.acme):
            Membership.objects.filter(user=committed_cast.bob).update(role=role)
        assert delete(sure(committed_cast.bob)).status_code == 403
    assert delete(sure(committed_cast.charlie)).status_code == 404
    assert delete(Client()).status_code == 302

    assert status(committed_cast.acme) == "active"


def test_that_it_was_deleted_is_recorded_for_as_long_as_there_is_a_log(committed_cast: Cast) -> None:
    delete(sure(committed_cast.alice))

    with tenant_context(committed_cast.acme):
        event = AuditEvent.objects.get(action="workspace.deleted")
    assert event.actor_email == "alice@acme.example"
