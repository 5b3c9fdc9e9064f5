"""Which addresses a workspace's own server may have: public ones, by https.

What a name means is asked anew when a connection is made, and that answer is what is connected to: a name that means
something harmless while it is checked, and our own network afterwards, gets nowhere.
"""

import ipaddress
import socket
from collections.abc import Callable, Sequence
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Sequence[str]]

WRITE = "Write it in full, as https://llm.example.com/v1."
# IPv6 addresses that lead to an IPv4 one, and where in them it stands: NAT64, and what hosts wrote before it.
NAT64 = ipaddress.ip_network("64:ff9b::/96")
COMPATIBLE = ipaddress.ip_network("::/96")
NEVER = [
    ipaddress.ip_network("168.63.129.16/32"),  # Azure's own services for a machine, at a public address
    ipaddress.ip_network("192.0.0.0/24"),  # protocols' own, of which Python counts some as public
    ipaddress.ip_network("fec0::/10"),  # what one's own network was before fc00::/7
    ipaddress.ip_network("64:ff9b:1::/48"),  # NAT64 of one's own network
]


class Refused(ValueError):
    """A sentence for the person who named the address: what is wrong, and what to do."""


def check_url(url: str, resolve: Resolve | None = None) -> None:
    """Raises Refused for an address that may not be called, now that its name is looked up. Blocks meanwhile."""
    parts = check_shape(url)
    host, port = host_of(parts), port_of(parts)
    try:
        addresses = (resolve or look_up)(host, port)
    except OSError:
        raise Refused(f"Nothing is known by the name {host}. Look for a slip of the pen in the address.") from None
    permitted(host, port, addresses)


def check_shape(url: str) -> SplitResult:
    """The address, taken apart. Raises Refused for one that isn't https to a host, or that holds anything else."""
    try:
        parts = urlsplit(url)
        host, port = host_of(parts), port_of(parts)
    except ValueError:
        raise Refused(f"That is no address. {WRITE}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise Refused(f"That is no address. {WRITE}")
    if parts.username is not None or parts.password is not None:
        raise Refused("An address with a name or password in it would be shown to others. Write it without them.")
    if parts.query or parts.fragment:
        raise Refused(f"The address ends with its path, without ? or #. {WRITE}")
    if parts.scheme == "http" and not is_ours(host, port):
        raise Refused("The key would travel in the clear. Write an address that begins with https://.")
    return parts


def host_of(parts: SplitResult) -> str:
    return (parts.hostname or "").lower().rstrip(".")


def port_of(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def is_ours(host: str, port: int) -> bool:
    """Whether an operator said that workspaces may reach it though it lies in our own network."""
    return host in settings.PRIVATE_PROVIDER_HOSTS or f"{host}:{port}" in settings.PRIVATE_PROVIDER_HOSTS


def look_up(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def permitted(host: str, port: int, addresses: Sequence[str]) -> Sequence[str]:
    """The addresses, if each of them may be connected to. Raises Refused if one of them may not."""
    if not is_ours(host, port) and not (addresses and all(map(is_public, addresses))):
        raise Refused(
            f"{host} lies in a private network, which this service doesn’t reach into. Use an address that the "
            "internet knows, or ask whoever runs this service to permit it."
        )
    return addresses


def is_public(text: str) -> bool:
    try:
        address = destination(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return False
    if address.is_multicast or address.is_reserved or address.is_unspecified:
        return False
    return address.is_global and not any(address in network for network in NEVER if network.version == address.version)


def destination(address: Address) -> Address:
    """Where a packet to `address` ends: an IPv6 one may stand for an IPv4 one."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if inner := address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1]):
        return inner
    if address in NAT64 or (address in COMPATIBLE and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
