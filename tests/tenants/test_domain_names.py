"""What can be a workspace's domain, and how it is written."""

from typing import Any

import pytest

from apps.tenants import domains
from config import env


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("CHAT.Acme.Example", "chat.acme.example"),
        ("chat.acme.example.", "chat.acme.example"),
        (" chat.acme.example ", "chat.acme.example"),
        ("Köln.example", "xn--kln-sna.example"),
        ("xn--kln-sna.example", "xn--kln-sna.example"),
        ("аcme.example", "xn--cme-5cd.example"),  # Cyrillic: another name than acme.example, and shown as what it is
        ("ａｃｍｅ。example", "acme.example"),
        ("a-b.c-d.example", "a-b.c-d.example"),
        ("1.example", "1.example"),
    ],
)
def test_names_are_written_as_browsers_send_them(text: str, name: str) -> None:
    assert domains.host_name(text) == name


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "Write a domain"),
        ("https://chat.acme.example/", "no https://"),
        ("chat.acme.example:443", "no port"),
        ("chat.acme.example/path", "no path"),
        ("user@chat.acme.example", "Write the domain alone"),
        ("*.acme.example", "without *"),
        ("192.0.2.1", "IP address"),
        ("::1", "IP address"),
        ("[2001:db8::1]", "IP address"),
        ("192.0.2", "no full domain"),
        ("0x7f.1", "no full domain"),
        ("127.0.0.0x1", "no full domain"),
        ("acme", "no full domain"),
        ("localhost", "no full domain"),
        ("app.localhost", "own address"),
        ("x.testserver", "own address"),
        ("under_score.example", "can’t be a domain"),
        ("-a.example", "can’t be a domain"),
        ("a..example", "can’t be a domain"),
        ("a b.example", "can’t be a domain"),
        ("xn--a.example", "can’t be a domain"),
        ("x" * 64 + ".example", "can’t be a domain"),
        (".".join(["x" * 49] * 5) + ".example", "can’t be a domain"),
        (".".join(["x" * 49] * 4) + ".yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy.example", "too long"),
    ],
)
def test_what_is_no_domain_gets_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(domains.Refused, match=sentence):
        domains.host_name(text)


def test_our_own_address_cannot_be_claimed(settings: Any) -> None:
    settings.HOSTS, settings.PUBLIC_URL = [".corbel.example", "10.0.0.1"], "https://app.corbel.test"

    for name in ("corbel.example", "x.corbel.example", "app.corbel.test", "x.app.corbel.test"):
        with pytest.raises(domains.Refused, match="own address"):
            domains.host_name(name)
    assert domains.host_name("notcorbel.example") == "notcorbel.example"


@pytest.mark.parametrize("value", ["resolver", "192.0.2.1:dns", "192.0.2.1:99999", "192.0.2.300"])
def test_dns_servers_are_read_loudly(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("DNS_SERVERS", value)

    with pytest.raises(env.BadSetting, match="DNS_SERVERS"):
        env.servers("DNS_SERVERS")


def test_dns_servers_are_addresses_with_or_without_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DNS_SERVERS", "192.0.2.1, 192.0.2.2:5353,::1,[::1]:5353")

    assert env.servers("DNS_SERVERS") == [("192.0.2.1", 53), ("192.0.2.2", 5353), ("::1", 53), ("::1", 5353)]
