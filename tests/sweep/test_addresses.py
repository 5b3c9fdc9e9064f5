"""Every other way to name a workspace: headers, cookies, host names, odd spellings of a path."""

import pytest

from apps.tenants.models import Membership, User
from tests.conftest import PASSWORD

from .attack import Visitor, is_login, undone
from .reached import Reached
from .report import none, tried
from .world import World

Role = Membership.Role
OWN_HOST, ACMES_HOST = "docs.globex.example", "docs.acme.example"

NAMING = [
    *("X-Tenant", "X-Tenant-Id", "X-Tenant-Slug", "X-Workspace", "X-Workspace-Id", "X-Organization", "X-Account"),
    *("X-Schema", "X-Forwarded-Prefix", "X-Script-Name", "X-Original-Url", "X-Rewrite-Url", "X-Forwarded-Uri"),
    *("X-Forwarded-Host", "X-Host", "Forwarded", "X-Forwarded-Server", "X-Http-Method-Override", "Referer"),
    *("HX-Current-URL", "HX-Request", "HX-Target"),
]
COOKIES = ["tenant", "tenant_id", "workspace", "workspace_id", "slug", "schema", "organization"]


def everything_naming_acme(world: World) -> list[dict[str, str]]:
    """Headers that somebody might trust."""
    acme = world.acme.tenant
    values = ["acme", str(acme.pk), acme.schema_name, "/t/acme/", "/t/acme", ACMES_HOST, f"host={ACMES_HOST}"]
    return [dict.fromkeys(NAMING, value) for value in values]


PAGES = ["/", "/workspaces/", "/t/globex/", "/t/globex/documents/", "/t/globex/search/?q=secret"]


@pytest.mark.parametrize("path", PAGES)
def test_headers_and_cookies_name_no_workspace(world: World, path: str) -> None:
    faults = []
    for who in ("outsider", "anonymous", "nobody"):
        visitor = Visitor(world, world.outsiders[who], world.acme)
        plain = visitor.send("GET", path)
        for headers in everything_naming_acme(world):
            cookies = dict.fromkeys(COOKIES, headers[NAMING[0]])
            answer = visitor.send("GET", path, headers=headers, cookies=cookies)
            faults += [f"{who}: {path} with {headers[NAMING[0]]} {fault}" for fault in answer.faults]
            if answer.status != plain.status:
                faults.append(f"{who}: {path} with {headers[NAMING[0]]} answers {answer.status}, not {plain.status}")
            tried("headers and cookies", who)
    none(faults)


ODD = [
    *("/t/ACME/", "/t/Acme/", "/T/acme/", "/t/%61cme/", "/t/%2561cme/", "/t/аcme/"),
    *("/t/acme%2f", "/t/acme%00/", "/t/acme%20/", "/t/ acme/", "/t/acme\\", "/t/acme\n/", "/t/acme;globex/"),
    *("/t/acme:80/", "/t/acme@globex/", "/t/acme,globex/", "/t/acme?/t/globex/", "/t/acme#/t/globex/"),
    *("/t/globex/../acme/", "/t/globex/..%2facme/", "/t/globex/%2e%2e/acme/", "/t/globex%2f..%2facme/"),
    *("/t/globex/t/acme/", "/t/acme/t/globex/", "//t/acme/", "/t//acme/", "/t/./acme/", "/./t/acme/documents/"),
    *("/t/acme/documents/../", "/workspaces/../t/acme/documents/"),
]


@pytest.mark.parametrize("who", ["outsider", "anonymous", "nobody", "removed", "staff"])
def test_no_spelling_of_its_address_opens_a_workspace(world: World, who: str) -> None:
    visitor = Visitor(world, world.outsiders[who], world.acme)
    faults = []
    for path in ODD:
        answer = visitor.send("GET", path)
        faults += [f"{who}: {path!r} {fault}" for fault in answer.faults]
        if not (answer.status in (400, 404) or (answer.status in (301, 302) and not answer.location.startswith("//"))):
            faults.append(f"{who}: {path!r} answers {answer.status} {answer.location}")
        tried("odd addresses", who)
    none(faults)


def signed_in_at(world: World, user: User, host: str, *, victim: bool = True) -> Visitor:
    """A browser in which `user` gave the password under that host name."""
    visitor = Visitor(world, None, world.acme if victim else None)
    answer = visitor.client.post(
        "/accounts/login/", {"login": user.email, "password": PASSWORD}, headers={"host": host}
    )
    assert answer.status_code == 302, answer.content
    visitor.cookies = {name: morsel.value for name, morsel in visitor.client.cookies.items()}
    return visitor


def test_a_workspaces_own_domain_opens_to_its_members_only(world: World, reached: dict[str, list[Reached]]) -> None:
    """Whoever asks there, signed in there, at home on another domain, or nowhere."""
    host = {"host": ACMES_HOST}
    globexs = world.globex.people[Role.MEMBER]
    visitors = {
        "outsider, signed in there": signed_in_at(world, globexs, ACMES_HOST),
        "outsider, signed in at home": signed_in_at(world, globexs, OWN_HOST),
        "outsider, signed in at the hub": Visitor(world, globexs, world.acme),
        "removed": Visitor(world, world.outsiders["removed"], world.acme),
        "anonymous": Visitor(world, None, world.acme),
    }
    faults = []
    for who, visitor in visitors.items():
        for one in reached["workspace"] if who == "outsider, signed in there" else reached["workspace"][::5]:
            path = "/" + one.route.path(one.arguments)
            for method in ("GET", "POST") if who == "outsider, signed in there" else ("GET",):
                answer = visitor.send(method, path, headers=host)
                faults += [f"{who}: {method} {path} {fault}" for fault in answer.faults]
                refused = (
                    answer.status == 401 if one.route.is_api else answer.status == 404 or is_login(answer.location)
                )
                if not refused:
                    faults.append(f"{who}: {method} {path} answers {answer.status} {answer.location}")
                tried("requests at Acme's domain", who.partition(",")[0])
    none(faults)


def test_the_same_domain_opens_to_a_member(world: World) -> None:
    """Else it would refuse the others for another reason."""
    with undone():
        member = signed_in_at(world, world.acme.people[Role.MEMBER], ACMES_HOST, victim=False)
        answer = member.send("GET", "/documents/", headers={"host": ACMES_HOST})

    assert answer.status == 200 and world.acme.mark in answer.text


def test_a_session_of_ones_own_domain_opens_nothing_elsewhere(world: World) -> None:
    """Its owner may lead it anywhere, and read the cookies of whoever comes, of a member of two workspaces for one."""
    faults = []
    with undone():
        stolen = signed_in_at(world, world.acme.people[Role.VIEWER], OWN_HOST, victim=False)
        for host in ("testserver", ACMES_HOST):
            for path in ("/t/acme/", "/accounts/", "/workspaces/", "/platform/", "/documents/"):
                answer = stolen.send("GET", path, headers={"host": host})
                faults += [f"{host}{path} answers {answer.status}"] if answer.status == 200 else []
                faults += [f"{host}{path} shows Acme"] if world.acme.mark in answer.text else []
                tried("a session of another domain")
    none(faults)


@pytest.mark.parametrize("host", ["evil.example", "docs.acme.example.evil.example", "acme", "new.acme.example", ""])
def test_names_that_are_not_ours_are_refused(world: World, host: str) -> None:
    for who in ("outsider", "anonymous"):
        answer = Visitor(world, world.outsiders[who], world.acme).send("GET", "/t/acme/", headers={"host": host})
        tried("foreign host names", who)

        assert (answer.status, answer.faults) == (400, [])
