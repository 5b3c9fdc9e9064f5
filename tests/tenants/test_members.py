"""Who may change whom; a workspace is never without an owner; and what outsiders get."""

import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.tenants import invitations, members
from apps.tenants.context import tenant_context, tenant_id_context, user_context
from apps.tenants.models import AuditEvent, Invitation, Membership, User
from apps.tenants.permissions import ROLES_ALLOWED, Permission
from tests.conftest import PASSWORD, Cast, signed_in

Role = Membership.Role
FRAGMENT = {"HX-Request": "true"}


@pytest.fixture
def crew(cast: Cast) -> dict[str, Membership]:
    """Of Acme: one membership of each role beside Alice's, and one more of each to act upon, named "other-..."."""
    return populate(cast)


def populate(cast: Cast) -> dict[str, Membership]:
    made = {}
    with tenant_context(cast.acme):
        for role in Role:
            for name in (role.value, f"other-{role.value}"):
                user = User.objects.create_user(f"{name}@acme.example", PASSWORD)
                made[name] = Membership.objects.create(user=user, role=role)
    return made


def role_of(membership: Membership) -> str | None:
    with tenant_id_context(membership.tenant_id):
        return Membership.objects.filter(pk=membership.pk).values_list("role", flat=True).first()


def test_what_each_role_may_do_is_written_once_and_every_permission_has_an_answer() -> None:
    width = max(len(permission) for permission in Permission)
    lines = [f"{'':{width}}  " + "  ".join(f"{role:6}" for role in Role)]
    for permission in Permission:
        answers = ("yes" if role in ROLES_ALLOWED[permission] else "no" for role in Role)
        lines.append(f"{permission:{width}}  " + "  ".join(f"{answer:6}" for answer in answers))
    print("", *lines, sep="\n")  # noqa: T201  (pytest -s shows it)

    assert set(ROLES_ALLOWED) == set(Permission)
    assert all(Role.OWNER in roles for roles in ROLES_ALLOWED.values())


# Each action on the members page, and what it answers to an owner, an admin, a member and a viewer. A redirect is
# how a page without scripts is told that it was done.
ACTIONS: dict[str, tuple[Callable[[dict[str, Membership], Invitation], tuple[str, dict[str, str]]], list[int]]] = {
    "see the list": (lambda crew, _: ("", {}), [200, 200, 200, 200]),
    "invite a member": (lambda *_: ("invite/", {"email": "new@x.example", "role": "member"}), [200, 200, 403, 403]),
    "invite an admin": (lambda *_: ("invite/", {"email": "new@x.example", "role": "admin"}), [200, 200, 403, 403]),
    "invite an owner": (lambda *_: ("invite/", {"email": "new@x.example", "role": "owner"}), [200, 403, 403, 403]),
    "revoke an invitation": (lambda _, open_one: (f"invitations/{open_one.id}/revoke/", {}), [302, 302, 403, 403]),
    "make a viewer an admin": (
        lambda crew, _: (f"{crew['other-viewer'].id}/role/", {"role": "admin"}),
        [302, 302, 403, 403],
    ),
    "make an admin a viewer": (
        lambda crew, _: (f"{crew['other-admin'].id}/role/", {"role": "viewer"}),
        [302, 302, 403, 403],
    ),
    "make a member an owner": (
        lambda crew, _: (f"{crew['other-member'].id}/role/", {"role": "owner"}),
        [302, 403, 403, 403],
    ),
    "make an owner a member": (
        lambda crew, _: (f"{crew['other-owner'].id}/role/", {"role": "member"}),
        [302, 403, 403, 403],
    ),
    "give a role there isn't": (
        lambda crew, _: (f"{crew['other-member'].id}/role/", {"role": "king"}),
        [409, 409, 403, 403],
    ),
    "remove a viewer": (lambda crew, _: (f"{crew['other-viewer'].id}/remove/", {}), [302, 302, 403, 403]),
    "remove an admin": (lambda crew, _: (f"{crew['other-admin'].id}/remove/", {}), [302, 302, 403, 403]),
    "remove an owner": (lambda crew, _: (f"{crew['other-owner'].id}/remove/", {}), [302, 403, 403, 403]),
    "hand the workspace over": (lambda crew, _: (f"{crew['other-member'].id}/transfer/", {}), [302, 403, 403, 403]),
    "leave": (lambda *_: ("leave/", {}), [302, 302, 302, 302]),
}


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("action", ACTIONS)
def test_each_action_answers_each_role(cast: Cast, crew: dict[str, Membership], role: Role, action: str) -> None:
    with tenant_context(cast.acme):
        open_one, _ = invitations.invite("waiting@x.example", Role.MEMBER, crew["owner"])
    make, statuses = ACTIONS[action]
    path, data = make(crew, open_one)
    client = signed_in(crew[role].user)
    expected = statuses[list(Role).index(role)]
    before = snapshot(cast)

    response = getattr(client, "post" if path else "get")(f"/t/acme/members/{path}", data)

    assert response.status_code == expected, response.content.decode()
    if expected >= 400:
        assert snapshot(cast) == before


def snapshot(cast: Cast) -> list[Any]:
    with tenant_context(cast.acme):
        return [
            sorted(Membership.objects.values_list("user__email", "role")),
            sorted(Invitation.objects.values_list("email", "role", "revoked_at")),
            AuditEvent.objects.count(),
        ]


def test_what_is_refused_says_why(cast: Cast, crew: dict[str, Membership]) -> None:
    admin = signed_in(crew["admin"].user)

    response = admin.post(f"/t/acme/members/{crew['owner'].id}/remove/", headers=FRAGMENT)

    assert "Only an owner can make or unmake an owner" in response.content.decode()
    assert response.content.decode().lstrip().startswith('<section id="members"')  # what the page swaps in


@pytest.mark.parametrize(
    "path",
    ["", "leave/", "invite/", "{invitation}/revoke/", "{member}/role/", "{member}/remove/", "{member}/transfer/"],
)
def test_an_outsider_gets_404_everywhere(cast: Cast, path: str) -> None:
    with tenant_context(cast.acme):
        member = Membership.objects.get(user=cast.bob)
        invitation, _ = invitations.invite("x@x.example", Role.MEMBER, Membership.objects.get(user=cast.alice))
    path = path.format(invitation=f"invitations/{invitation.id}", member=member.id)
    charlie, before = signed_in(cast.charlie), snapshot(cast)
    send = charlie.post if path else charlie.get

    outside = send(f"/t/acme/members/{path}", {"role": "owner", "email": "c@x.example"})

    assert outside.status_code == 404
    if "/" in path.rstrip("/"):  # another workspace's row, through one's own door
        assert send(f"/t/globex/members/{path}", {"role": "viewer"}).status_code == 404
    assert snapshot(cast) == before


def test_the_list_names_this_workspaces_people_only(cast: Cast) -> None:
    page = signed_in(cast.bob).get("/t/acme/members/").content.decode()

    assert "alice@acme.example" in page and "bob@acme.example" in page
    assert "charlie" not in page
    assert "/members/invite/" not in page and "/remove/" not in page  # a member looks on


@pytest.fixture
def crowd(cast: Cast) -> list[Membership]:
    """60 more members of Acme, in the order of the list, which begins with Alice and Bob."""
    users = User.objects.bulk_create(
        User(email=f"person-{number:02}@acme.example", name=f"Person {number:02}") for number in range(60)
    )
    with tenant_context(cast.acme):
        return Membership.objects.bulk_create(Membership(user=user) for user in users)


def listed(page: str) -> list[int]:
    """Which of the crowd a page lists, in its order."""
    return [int(number) for number in re.findall(r'font-semibold">Person (\d\d)<', page)]


def test_a_long_list_comes_in_pages(cast: Cast, crowd: list[Membership]) -> None:
    alice = signed_in(cast.alice)

    first, second, past_the_end = (
        alice.get(f"/t/acme/members/{query}").content.decode() for query in ("", "?page=2", "?page=9")
    )

    assert listed(first) == list(range(48))  # after Alice and Bob
    assert listed(second) == listed(past_the_end) == list(range(48, 60))
    assert 'href="/t/acme/members/?page=2"' in first and 'href="/t/acme/members/?page=1"' in second
    assert "Page 2 of 2" in second and "(you)" in first and "(you)" not in second


def test_a_short_list_has_neither_pages_nor_a_search(cast: Cast) -> None:
    page = signed_in(cast.alice).get("/t/acme/members/").content.decode()

    assert 'name="q"' not in page and 'aria-label="Pages"' not in page


@pytest.mark.parametrize("q", ["PERSON-57", "son 57", " person-57@acme.example "])
def test_a_search_finds_by_name_and_address(cast: Cast, crowd: list[Membership], q: str) -> None:
    page = signed_in(cast.bob).get("/t/acme/members/", {"q": q}).content.decode()

    assert listed(page) == [57]


def test_a_search_has_pages_of_its_own(cast: Cast, crowd: list[Membership]) -> None:
    alice = signed_in(cast.alice)

    first, second = (alice.get("/t/acme/members/", {"q": "person-", "page": page}).content.decode() for page in (1, 2))

    assert listed(first) + listed(second) == list(range(60))
    assert "?q=person-&amp;page=2" in first


@pytest.mark.parametrize("q", ["charlie", "globex", "100%", "\0", "<b>"])
def test_a_search_finds_no_strangers_and_takes_any_text(cast: Cast, crowd: list[Membership], q: str) -> None:
    response = signed_in(cast.alice).get("/t/acme/members/", {"q": q})

    assert response.status_code == 200
    assert "charlie@" not in response.content.decode() and "<b>" not in response.content.decode()
    assert listed(response.content.decode()) == ([] if q != "\0" else list(range(48)))


def test_a_change_is_answered_by_the_page_it_was_made_on(cast: Cast, crowd: list[Membership]) -> None:
    alice = signed_in(cast.alice)
    role, remove = f"/t/acme/members/{crowd[55].id}/role/", f"/t/acme/members/{crowd[50].id}/remove/"
    page = alice.get("/t/acme/members/?page=2").content.decode()
    # With scripts and without; a role also by the menu, for owners.
    assert page.count(f'"{role}?page=2"') == 4 and page.count(f'"{remove}?page=2"') == 2

    changed = alice.post(role + "?page=2", {"role": "viewer"}, headers=FRAGMENT).content.decode()
    removed = alice.post(remove + "?page=2", headers=FRAGMENT).content.decode()
    searched = alice.post(f"{role}?q=person-55", {"role": "member"}, headers=FRAGMENT).content.decode()
    without_scripts = alice.post(role + "?q=person-55&page=1&next=//evil.example", {"role": "viewer"})

    assert listed(changed) == [*range(48, 55), *range(56, 60), 55]  # viewers come last
    assert 'role="status"' not in changed
    assert listed(removed) == [48, 49, *range(51, 55), *range(56, 60), 55]
    assert listed(searched) == [55]
    assert without_scripts.url == "/t/acme/members/?q=person-55&page=1"


def test_who_leaves_the_page_by_a_change_is_named(cast: Cast, crowd: list[Membership]) -> None:
    url = f"/t/acme/members/{crowd[55].id}/role/?page=2"

    page = signed_in(cast.alice).post(url, {"role": "admin"}, headers=FRAGMENT).content.decode()

    assert listed(page) == [47, *range(48, 55), *range(56, 60)]
    assert "Person 55 is admin now." in page


def test_a_refusal_is_shown_on_the_page_it_was_made_on(cast: Cast, crowd: list[Membership]) -> None:
    url = f"/t/acme/members/{crowd[55].id}/role/?page=2"

    response = signed_in(cast.alice).post(url, {"role": "king"}, headers=FRAGMENT)

    assert (response.status_code, listed(response.content.decode())) == (409, list(range(48, 60)))


def test_the_page_asks_as_often_whether_two_are_members_or_sixty(cast: Cast, request: pytest.FixtureRequest) -> None:
    alice = signed_in(cast.alice)

    def asked(path: str) -> int:
        with CaptureQueriesContext(connections["default"]) as queries:
            assert alice.get(path).status_code == 200
        return len(queries)

    asked("/t/acme/members/")
    few = asked("/t/acme/members/")
    request.getfixturevalue("crowd")

    assert asked("/t/acme/members/") == asked("/t/acme/members/?page=2") == asked("/t/acme/members/?q=person") == few


def test_an_outsider_searches_nothing(cast: Cast, crowd: list[Membership]) -> None:
    charlie = signed_in(cast.charlie)

    assert charlie.get("/t/acme/members/?q=person&page=2").status_code == 404
    assert charlie.post(f"/t/globex/members/{crowd[55].id}/role/?page=2", {"role": "viewer"}).status_code == 404
    assert "Person" not in charlie.get("/t/globex/members/?q=person").content.decode()


def test_changing_roles_is_recorded(cast: Cast, crew: dict[str, Membership]) -> None:
    client = signed_in(crew["owner"].user)

    client.post(f"/t/acme/members/{crew['member'].id}/role/", {"role": "admin"})
    client.post(f"/t/acme/members/{crew['viewer'].id}/remove/")
    client.post(f"/t/acme/members/{crew['admin'].id}/transfer/")
    signed_in(crew["member"].user).post("/t/acme/members/leave/")

    assert [role_of(crew[name]) for name in ("member", "viewer", "admin", "owner")] == [None, None, "owner", "admin"]
    with tenant_context(cast.acme):
        events = list(AuditEvent.objects.order_by("at").values_list("action", "actor_email", "target_name", "details"))
    assert events[-4:] == [
        (
            "member.role_changed",
            "owner@acme.example",
            "member@acme.example",
            {"email": "member@acme.example", "before": "member", "after": "admin"},
        ),
        (
            "member.removed",
            "owner@acme.example",
            "viewer@acme.example",
            {"email": "viewer@acme.example", "role": "viewer"},
        ),
        (
            "ownership.transferred",
            "owner@acme.example",
            "admin@acme.example",
            {"email": "admin@acme.example", "before": "admin"},
        ),
        (
            "member.left",
            "member@acme.example",
            "member@acme.example",
            {"email": "member@acme.example", "role": "admin"},
        ),
    ]


@pytest.mark.parametrize("how", ["leaves", "is demoted"])
def test_the_only_owner_stays_one(cast: Cast, how: str) -> None:
    alice = signed_in(cast.alice)
    with tenant_context(cast.acme):
        membership = Membership.objects.get(user=cast.alice)

    if how == "leaves":
        response = alice.post("/t/acme/members/leave/")
    else:
        response = alice.post(f"/t/acme/members/{membership.id}/role/", {"role": "viewer"})

    assert response.status_code == 409
    assert "Hand it over first" in response.content.decode()
    assert role_of(membership) == "owner"


def test_one_leaves_and_doesnt_remove_oneself(cast: Cast, crew: dict[str, Membership]) -> None:
    response = signed_in(crew["owner"].user).post(f"/t/acme/members/{crew['owner'].id}/remove/")

    assert response.status_code == 409
    assert "leave the workspace" in response.content.decode()


@pytest.mark.parametrize("loses", ["is removed", "leaves", "becomes a member"])
def test_who_may_no_longer_invite_has_no_open_invitations(cast: Cast, crew: dict[str, Membership], loses: str) -> None:
    with tenant_context(cast.acme), user_context(crew["admin"].user):
        _, link = invitations.invite("friend@x.example", Role.ADMIN, crew["admin"])
        _, alices = invitations.invite("other@x.example", Role.ADMIN, crew["owner"])

        if loses == "is removed":
            members.remove(crew["admin"], crew["owner"])
        elif loses == "leaves":
            members.leave(crew["admin"])
        else:
            members.change_role(crew["admin"], Role.MEMBER, crew["owner"])

    assert Client().get(path_of(link)).status_code == 410
    assert Client().get(path_of(alices)).status_code == 200


def path_of(link: str) -> str:
    return "/" + link.split("/", 3)[3]


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """Run each in a thread with a connection of its own, all starting together. What each returned or raised."""
    barrier, outcomes = threading.Barrier(len(works)), [None] * len(works)

    def run(number: int, work: Callable[[], Any]) -> None:
        barrier.wait(10)
        try:
            outcomes[number] = work()
        except Exception as error:
            outcomes[number] = error
        finally:
            connections["default"].close()

    threads = [threading.Thread(target=run, args=each) for each in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return outcomes


@pytest.mark.parametrize("attempt", range(5))
def test_of_two_owners_who_leave_at_once_one_is_refused(committed_cast: Cast, attempt: int) -> None:
    acme = committed_cast.acme
    with tenant_context(acme):
        alice = Membership.objects.get(user=committed_cast.alice)
        bob = Membership.objects.get(user=committed_cast.bob)
        members.change_role(bob, Role.OWNER, alice)

    def leaving(membership: Membership) -> Callable[[], Any]:
        def go() -> None:
            with tenant_context(acme), user_context(membership.user):
                members.leave(membership)

        return go

    outcomes = at_once(leaving(alice), leaving(bob))

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["LastOwner", "NoneType"]
    with tenant_context(acme):
        assert [each.role for each in Membership.objects.all()] == ["owner"]
        assert AuditEvent.objects.filter(action="member.left").count() == 1


def test_two_owners_who_demote_each_other_at_once_leave_one(committed_cast: Cast) -> None:
    acme = committed_cast.acme
    with tenant_context(acme):
        alice = Membership.objects.get(user=committed_cast.alice)
        bob = Membership.objects.get(user=committed_cast.bob)
        members.change_role(bob, Role.OWNER, alice)

    def demoting(whom: Membership, by: Membership) -> Callable[[], Any]:
        def go() -> None:
            with tenant_context(acme), user_context(by.user):
                members.change_role(whom, Role.MEMBER, by)

        return go

    outcomes = at_once(demoting(alice, bob), demoting(bob, alice))

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType", "NotAllowed"]
    with tenant_context(acme):
        assert sorted(Membership.objects.values_list("role", flat=True)) == ["member", "owner"]


def test_a_refused_invitation_keeps_what_was_typed(cast: Cast) -> None:
    page = signed_in(cast.alice).post("/t/acme/members/invite/", {"email": "bob@acme.example", "role": "viewer"})

    assert page.status_code == 409 and "is a member already" in page.content.decode()
    assert 'value="bob@acme.example"' in page.content.decode()
    assert re.search(r'<option value="viewer"\s+selected', page.content.decode())
