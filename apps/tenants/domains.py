"""A workspace's own domains: claimed by an admin, proved by a TXT record that only the owner of the name can make.

    claim("chat.acme.example") -> Domain     written down; leads nowhere yet
    check(domain)                            looks the record up; once it is found the domain leads to the workspace
    remove(domain)

The only look-up goes to DNS_SERVERS, or to this machine's own, when an admin presses the button.
"""

import ipaddress
import re
from urllib.parse import urlsplit
from uuid import UUID

import dns.exception
import dns.name
import dns.nameserver
import dns.resolver
import idna
from django.conf import settings
from django.db import IntegrityError, transaction
from django.http.request import split_domain_port, validate_host
from django.utils import timezone

from . import features
from .audit import record
from .context import require_tenant_id, tenant_id_context
from .doors import COME_BACK, close_doors
from .models import AuditEvent, Domain, Tenant

MOST_PER_WORKSPACE = 20
WITHIN_S = 3
LONGEST = 245  # the record's own name is eight longer, and none has more than 253
LETTER_FIRST = re.compile(r"[a-z][a-z0-9-]*")  # as top-level domains are; what isn't may be read as an IP address
IN_USE_ELSEWHERE = (
    "Another workspace uses this domain, and its record is still there. Remove every other corbel-verify record of "
    "that name, give DNS time to forget it, and check again."
)


class Refused(ValueError):
    """A sentence for the person who asked: what is wrong, and what to do."""


def host_name(text: str) -> str:
    """The name in lower case and ASCII, as browsers send it: `Köln.Example` is xn--kln-sna.example.

    Raises Refused for what isn't a host name alone, and for our own.
    """
    text = text.strip().rstrip(".")
    if not text:
        raise Refused("Write a domain, such as chat.example.com.")
    if "*" in text:
        raise Refused("A domain stands for itself only. Add each one by its full name, without *.")
    if is_address(text):
        raise Refused("That is an IP address. Write a domain, such as chat.example.com.")
    if any(mark in text for mark in ":/@?#"):
        raise Refused("Write the domain alone, such as chat.example.com: no https://, no port, no path.")
    try:
        name = idna.encode(text, uts46=True).decode()
    except idna.IDNAError:
        raise Refused(f"“{text[:80]}” can’t be a domain. Write one such as chat.example.com.") from None
    if "." not in name or not LETTER_FIRST.fullmatch(name.rpartition(".")[2]):
        raise Refused(f"“{text[:80]}” is no full domain. Write one such as chat.example.com.")
    if len(name) > LONGEST:
        raise Refused(f"That domain is too long. {LONGEST} characters are the most.")
    if is_our_own(name):
        raise Refused("That is this service’s own address. Write a domain of yours.")
    return name


def is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True


def public_host() -> str:
    """The main host, which a domain is pointed at."""
    return split_domain_port(urlsplit(settings.PUBLIC_URL).netloc)[0]


def is_our_own(name: str) -> bool:
    """Whether it is one of the main hosts, or below one: it could set cookies for it."""
    return validate_host(name, ["." + host.lstrip(".") for host in (*settings.HOSTS, public_host())])


def require_free_above(name: str) -> None:
    """Raises Refused where another workspace has proved the domain that `name` is a part of."""
    parts = name.split(".")
    above = [".".join(parts[n:]) for n in range(1, len(parts))]
    others = Domain.unscoped.filter(domain__in=above, verified_at__isnull=False).exclude(tenant_id=require_tenant_id())
    if found := others.first():
        raise Refused(f"{found.domain} belongs to another workspace.")


def record_name(domain: Domain) -> str:
    return f"_corbel.{domain.domain}"


def record_value(domain: Domain) -> str:
    return f"corbel-verify={domain.token}"


def claim(text: str) -> Domain:
    """Write the name down for the active workspace. Raises Refused."""
    name = host_name(text)
    try:
        features.require(Tenant.objects.get(pk=require_tenant_id()), "custom_domains")
    except features.NotIncluded as refusal:
        raise Refused(str(refusal)) from refusal
    require_free_above(name)
    if Domain.objects.count() >= MOST_PER_WORKSPACE:
        raise Refused(f"A workspace has {MOST_PER_WORKSPACE} domains at most. Remove one first.")
    try:
        with transaction.atomic():
            domain = Domain.objects.create(domain=name)
            record("domain.added", domain)
    except IntegrityError:
        raise Refused(f"{name} is in the list already.") from None
    return domain


def remove(domain: Domain) -> None:
    """Its pages are gone at once, and sessions that were opened there with them."""
    with transaction.atomic():
        record("domain.removed", domain, was_verified=bool(domain.verified_at))
        domain.delete()
    close_doors(require_tenant_id(), code=COME_BACK)  # those that came by another host are let in again


def check(domain: Domain) -> None:
    """Look the record up and keep what came of it. Blocks for three seconds at most.

    A domain in use stays in use when its record is gone or DNS is away: `last_error` says so, and only another
    workspace that proves the name takes it over.
    """
    fault, loser = "", None
    try:
        loser = settle(domain, look_up(record_name(domain)))
    except Refused as refusal:
        fault = str(refusal)
    Domain.objects.filter(pk=domain.pk).update(checked_at=timezone.now(), last_error=fault)
    if loser:
        close_doors(loser, code=COME_BACK)


@transaction.atomic
def settle(domain: Domain, found: set[str]) -> UUID | None:
    """Put the domain in use if `found`, the texts of the record, proves it. Raises Refused if it doesn't.

    Returns the workspace that lost it, if one did.
    """
    if record_value(domain) not in found:
        raise Refused("The TXT record holds something else. Set it to the value that is shown here.")
    if domain.verified_at:
        return None
    require_free_above(domain.domain)
    holder = Domain.unscoped.filter(domain=domain.domain, verified_at__isnull=False).exclude(pk=domain.pk).first()
    if holder and record_value(holder) in found:
        raise Refused(IN_USE_ELSEWHERE)
    if holder:
        release(holder)
    try:
        with transaction.atomic():
            is_news = Domain.objects.filter(pk=domain.pk, verified_at=None).update(verified_at=timezone.now())
    except IntegrityError:  # by somebody who was faster
        raise Refused(IN_USE_ELSEWHERE) from None
    if is_news:
        record("domain.verified", domain)
    return holder.tenant_id if holder else None


def release(holder: Domain) -> None:
    """Take the domain from a workspace whose record is gone; its log says so, and not who has it now."""
    with tenant_id_context(holder.tenant_id):  # type: ignore[arg-type]  # never null, which the stubs don't see
        Domain.objects.filter(pk=holder.pk).update(
            verified_at=None, last_error="Its record was gone, and another workspace has proved this domain since."
        )
        AuditEvent.objects.create(
            action="domain.lost", target_type="domain", target_id=str(holder.pk), target_name=holder.domain
        )


def look_up(name: str) -> set[str]:
    """The texts of the TXT record at `name`. Raises Refused if there are none to be had."""
    try:
        answer = resolver().resolve(dns.name.from_text(name), "TXT")
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        raise Refused(
            "There is no such TXT record yet. A new one can take some minutes to be seen, or hours. Check again then."
        ) from None
    except dns.exception.Timeout:
        raise Refused(f"DNS did not answer within {WITHIN_S} seconds. Try again in a minute.") from None
    except dns.resolver.NoResolverConfiguration:
        raise Refused("This server knows no DNS server. Ask its operator to set DNS_SERVERS.") from None
    except dns.exception.DNSException:
        raise Refused("DNS answered with an error. Check the domain’s zone, and try again in a minute.") from None
    return {b"".join(text.strings).decode("ascii", "replace").strip() for text in answer}


def resolver() -> dns.resolver.Resolver:
    made = dns.resolver.Resolver(configure=not settings.DNS_SERVERS)
    if settings.DNS_SERVERS:
        made.nameservers = [dns.nameserver.Do53Nameserver(address, port) for address, port in settings.DNS_SERVERS]
    made.lifetime = WITHIN_S
    return made
