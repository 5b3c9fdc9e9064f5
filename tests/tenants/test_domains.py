"""A workspace's own domain, from the claim to the page: proved through a real name server."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import dns.rcode
import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.utils import timezone

from apps.tenants import domains
from apps.tenants.context import tenant_context, tenant_id_context
from apps.tenants.models import AuditEvent, Domain, Membership, Tenant, User
from tests.conftest import PASSWORD, Cast, signed_in
from tests.tenants.dns_server import SILENT, NameServer

NAME = "chat.acme.example"
PAGE = "/t/acme/settings/domains/"


@pytest.fixture
def zone(settings: Any) -> Iterator[NameServer]:
    """The only name server there is."""
    server = NameServer()
    settings.DNS_SERVERS = [server.address]
    yield server
    server.close()


@pytest.fixture(autouse=True)
def nothing_counted() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def claimed(tenant: Tenant, name: str = NAME) -> Domain:
    with tenant_context(tenant):
        return domains.claim(name)


def checked(domain: Domain) -> Domain:
    with tenant_id_context(domain.tenant_id):
        domains.check(domain)
        return Domain.objects.get(pk=domain.pk)


def deeds(tenant: Tenant) -> list[str]:
    with tenant_context(tenant):
        events = AuditEvent.objects.filter(action__startswith="domain.").order_by("at")
        return list(events.values_list("action", flat=True))


def proof(*claims: Domain) -> dict[str, list[str]]:
    return {f"_corbel.{claims[0].domain}": [f"corbel-verify={claim.token}" for claim in claims]}


def test_the_story_of_a_domain(cast: Cast, zone: NameServer) -> None:
    alice = signed_in(cast.alice)

    alice.post(f"{PAGE}add/", {"domain": " Chat.ACME.example. "})
    row = alice.get(PAGE).context["rows"][0]
    domain = row["domain"]
    assert domain.domain == NAME and domain.verified_at is None
    assert (row["record_name"], row["record_value"]) == (f"_corbel.{NAME}", f"corbel-verify={domain.token}")
    assert zone.asked == []  # nothing is looked up before somebody asks for it

    alice.post(f"{PAGE}{domain.id}/check/")
    page = alice.get(PAGE).content.decode()
    assert "There is no such TXT record yet." in page and "Not proved yet" in page
    assert Client(headers={"host": NAME}).get("/").status_code == 400

    zone.texts = {**proof(domain), NAME: ["v=spf1 -all"]}
    alice.post(f"{PAGE}{domain.id}/check/")
    page = alice.get(PAGE).content.decode()
    assert "In use" in page and "Not proved yet" not in page
    assert set(zone.asked) == {(f"_corbel.{NAME}", "TXT")}

    there = Client(headers={"host": NAME})
    assert there.get("/documents/").url == "/accounts/login/?next=/documents/"
    there.post("/accounts/login/", {"login": cast.bob.email, "password": PASSWORD})
    assert there.get("/documents/").status_code == 200

    alice.post(f"{PAGE}{domain.id}/remove/")
    assert there.get("/documents/").status_code == 400
    assert deeds(cast.acme) == ["domain.added", "domain.verified", "domain.removed"]


def test_who_may(cast: Cast, zone: NameServer) -> None:
    domain = claimed(cast.acme)
    zone.texts = proof(domain)
    admin = User.objects.create_user("admin@acme.example", PASSWORD)
    with tenant_context(cast.acme):
        Membership.objects.create(user=admin, role=Membership.Role.ADMIN)
    deeds_of_settings = [("add/", {"domain": "x.example"}), (f"{domain.id}/check/", {}), (f"{domain.id}/remove/", {})]

    for path, said in deeds_of_settings:
        assert signed_in(cast.bob).post(PAGE + path, said).status_code == 403
        assert signed_in(cast.charlie).post(PAGE + path, said).status_code == 404
        assert signed_in(cast.charlie).post(f"/t/globex/settings/domains/{path}", said).status_code in (302, 404)
        assert signed_in(cast.alice).get(PAGE + path).status_code == 405
    assert zone.asked == [] and deeds(cast.acme) == ["domain.added"]
    for path, said in deeds_of_settings:
        assert signed_in(admin).post(PAGE + path, said).status_code == 302
    assert deeds(cast.acme) == ["domain.added", "domain.added", "domain.verified", "domain.removed"]


def test_anothers_claims_and_tokens_are_not_shown(cast: Cast, zone: NameServer) -> None:
    domain = claimed(cast.globex, "chat.globex.example")
    zone.texts = proof(domain)
    checked(domain)

    page = signed_in(cast.alice).get(PAGE).content.decode()

    assert "globex" not in page and domain.token not in page


def test_claims_are_listed_once_and_not_without_end(cast: Cast) -> None:
    claimed(cast.acme)
    with pytest.raises(domains.Refused, match="in the list already"):
        claimed(cast.acme, NAME.upper())
    for number in range(domains.MOST_PER_WORKSPACE - 1):
        claimed(cast.acme, f"chat{number}.acme.example")
    with pytest.raises(domains.Refused, match="20 domains at most"):
        claimed(cast.acme, "one-more.acme.example")


def test_a_bad_name_is_an_error_of_the_form(cast: Cast) -> None:
    form = signed_in(cast.alice).post(f"{PAGE}add/", {"domain": "https://x.example"}).context["form"]

    assert "no https://" in form.errors["domain"][0]


@pytest.mark.parametrize(
    ("mood", "texts", "sentence"),
    [
        (None, {}, "There is no such TXT record yet"),
        (None, {f"_corbel.{NAME}": []}, "There is no such TXT record yet"),
        (None, {f"_corbel.{NAME}": ["corbel-verify=0123", "something else"]}, "holds something else"),
        (None, {NAME: ["corbel-verify={token}"]}, "There is no such TXT record yet"),
        (dns.rcode.SERVFAIL, {}, "DNS answered with an error"),
        (dns.rcode.REFUSED, {}, "DNS answered with an error"),
    ],
)
def test_what_came_of_a_check_is_kept(cast: Cast, zone: NameServer, mood: Any, texts: Any, sentence: str) -> None:
    domain = claimed(cast.acme)
    zone.mood = mood
    zone.texts = {name: [text.replace("{token}", domain.token) for text in found] for name, found in texts.items()}

    found = checked(domain)

    assert sentence in found.last_error and len(found.last_error) <= 300
    assert found.verified_at is None and timezone.now() - found.checked_at < timedelta(minutes=1)


def test_a_name_server_that_is_silent_costs_three_seconds(cast: Cast, zone: NameServer) -> None:
    domain = claimed(cast.acme)
    zone.mood = SILENT
    began = time.monotonic()

    found = checked(domain)

    assert "did not answer within 3 seconds" in found.last_error
    assert time.monotonic() - began < 4


def test_the_longest_name_still_has_a_sentence_that_fits(cast: Cast, zone: NameServer) -> None:
    name = ".".join(["x" * 49] * 4) + ".yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy.example"
    assert len(name) == domains.LONGEST

    assert checked(claimed(cast.acme, name)).last_error.endswith(".")


def test_a_domain_in_use_outlives_a_bad_day_of_dns(cast: Cast, zone: NameServer) -> None:
    domain = claimed(cast.acme)
    zone.texts = proof(domain)
    checked(domain)

    zone.texts = {}
    found = checked(domain)

    assert found.verified_at and "no such TXT record" in found.last_error
    assert Client(headers={"host": NAME}).get("/healthz").status_code == 200
    zone.texts = proof(domain)
    assert checked(domain).last_error == ""
    assert deeds(cast.acme) == ["domain.added", "domain.verified"]


def test_two_claim_one_name_and_the_first_keeps_it(cast: Cast, zone: NameServer) -> None:
    acmes, globexs = claimed(cast.acme), claimed(cast.globex)
    zone.texts = proof(acmes, globexs)
    checked(acmes)

    found = checked(globexs)

    assert found.verified_at is None
    assert found.last_error.startswith("Another workspace uses this domain, and its record is still there. Remove")
    assert acmes.token not in found.last_error
    assert checked(acmes).verified_at


def test_who_proves_a_name_whose_record_changed_takes_it_over(cast: Cast, zone: NameServer) -> None:
    acmes, globexs = claimed(cast.acme), claimed(cast.globex)
    zone.texts = proof(acmes)
    checked(acmes)

    zone.texts = proof(globexs)
    taken = checked(globexs)

    assert taken.verified_at and taken.last_error == ""
    with tenant_context(cast.acme):
        lost = Domain.objects.get()
        event = AuditEvent.objects.get(action="domain.lost")
    assert lost.verified_at is None and "another workspace has proved" in lost.last_error
    assert (event.actor_email, event.target_name, event.ip) == ("", NAME, None)  # who has it now is not Acme's to know
    there = Client(headers={"host": NAME})
    there.post("/accounts/login/", {"login": cast.alice.email, "password": PASSWORD})
    assert there.get("/documents/").status_code == 404


def test_below_anothers_domain_nothing_is_claimed(cast: Cast, zone: NameServer) -> None:
    early = claimed(cast.globex, f"early.{NAME}")
    acmes = claimed(cast.acme)
    zone.texts = proof(acmes) | proof(early)
    checked(acmes)

    with pytest.raises(domains.Refused, match=f"{NAME} belongs to another workspace"):
        claimed(cast.globex, f"x.y.{NAME}")
    assert "belongs to another workspace" in checked(early).last_error
    assert claimed(cast.acme, f"eu.{NAME}") and claimed(cast.globex, "chat.acme.example.org")


@pytest.mark.django_db(transaction=True)
def test_of_two_who_prove_a_name_at_once_one_gets_it(committed_cast: Cast, zone: NameServer) -> None:
    claims = [claimed(committed_cast.acme), claimed(committed_cast.globex)]
    zone.texts = proof(*claims)

    def check(domain: Domain) -> Domain:
        try:
            return checked(domain)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as both:
        found = list(both.map(check, claims))

    winners, losers = [d for d in found if d.verified_at], [d for d in found if not d.verified_at]
    assert len(winners) == len(losers) == 1
    assert "Another workspace uses this domain" in losers[0].last_error


def test_a_claim_of_another_workspace_cannot_be_checked_or_removed(cast: Cast, zone: NameServer) -> None:
    domain = claimed(cast.globex)
    zone.texts = proof(domain)
    checked(domain)  # so that the database shows it to everybody

    for deed in ("check", "remove"):
        assert signed_in(cast.alice).post(f"{PAGE}{domain.id}/{deed}/").status_code == 404
    assert checked(domain).verified_at


def test_removing_the_domain_one_came_by_leads_to_the_main_host(cast: Cast, zone: NameServer) -> None:
    domain = claimed(cast.acme)
    zone.texts = proof(domain)
    checked(domain)
    there = Client(headers={"host": NAME})
    there.post("/accounts/login/", {"login": cast.alice.email, "password": PASSWORD})

    assert there.post(f"/settings/domains/{domain.id}/remove/").url == f"http://localhost:8000{PAGE}"
