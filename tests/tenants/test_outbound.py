"""Calls to addresses that a workspace named lead into nobody's private network, however the address is written."""

import asyncio
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from apps.tenants.outbound import Refused, StandIn, check_url, guarded_client
from apps.tenants.outbound.client import Scrubber
from apps.tenants.outbound.guard import is_public
from apps.tenants.vault import Secret

KEY = "sk-canary-0123456789abcdef"

PRIVATE = [
    *("127.0.0.1", "127.8.9.10", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254"),
    *("192.0.0.192", "198.18.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "168.63.129.16"),
    *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "fec0::1"),
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1"),
    *("2002:7f00:1::", "2002:a9fe:a9fe::1", "::ffff:0:127.0.0.1", "no address", ""),
]
PUBLIC = ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::1"]


@pytest.mark.parametrize("address", PRIVATE)
def test_no_private_address_passes(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_pass(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://llm.example.com/v1", "in the clear"),
        ("ftp://llm.example.com", "no address"),
        ("llm.example.com", "no address"),
        ("https://", "no address"),
        ("https://llm.example.com:port", "no address"),
        ("https://user:word@llm.example.com", "name or password"),
        ("https://user@llm.example.com", "name or password"),
        ("https://llm.example.com/v1?key=x", "without ?"),
        ("https://llm.example.com/v1#x", "without ?"),
        ("file:///etc/passwd", "no address"),
    ],
)
def test_an_address_of_another_shape_says_why(url: str, said: str) -> None:
    with pytest.raises(Refused, match=said.replace("?", r"\?")):
        check_url(url, lambda host, port: ["1.1.1.1"])


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1", "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0"],
)
def test_this_machine_is_known_by_all_its_spellings(host: str) -> None:
    with pytest.raises(Refused, match="private network"):
        check_url(f"https://{host}/v1")


def test_one_private_address_among_public_ones_is_enough() -> None:
    with pytest.raises(Refused, match="private network"):
        check_url("https://llm.example.com", lambda host, port: ["1.1.1.1", "10.0.0.1"])
    with pytest.raises(Refused, match="private network"):
        check_url("https://llm.example.com", lambda host, port: [])
    check_url("https://llm.example.com/v1", lambda host, port: PUBLIC)


def test_a_name_that_nobody_knows_says_so() -> None:
    def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror

    with pytest.raises(Refused, match="Nothing is known by the name"):
        check_url("https://llm.example.com", unknown)


def test_an_operator_permits_a_name_or_a_name_and_port(settings: Any) -> None:
    settings.PRIVATE_PROVIDER_HOSTS = ["ollama", "localhost:11434"]

    check_url("http://ollama:1/v1", lambda host, port: ["10.0.0.1"])
    check_url("http://localhost:11434/v1")
    for url in ("https://localhost:6379", "https://ollama.example.com:11434"):
        with pytest.raises(Refused, match="private network"):
            check_url(url, lambda host, port: ["10.0.0.1"])


# --- The client, over real connections


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        sent = self.headers.get("authorization", "")
        self.server.seen.append((self.path, self.headers["host"], sent))  # type: ignore[attr-defined]
        if self.path == "/redirect":
            return self.answer(302, b"", location=f"/elsewhere?{sent}")
        return self.answer(401 if self.path == "/refuses" else 200, f"you sent {sent}, thanks".encode(), echo=sent)

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


def certificate(folder: Path, name: str) -> str:
    """A certificate for `name`, with its key, that it has signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    whose = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(whose, whose, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(secret + made.public_bytes(Encoding.PEM))
    return str(path)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Any]:
    """https on this machine, with a certificate for llm.example.com; `tls` trusts it."""
    file = certificate(tmp_path, "llm.example.com")
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        own.load_cert_chain(file)
        names: list[str | None] = []
        own.sni_callback = lambda socket, name, context: names.append(name)
        server.socket = own.wrap_socket(server.socket, server_side=True)
        server.seen, server.names = [], names
        server.tls = ssl.create_default_context(cafile=file)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Names:
    """A resolver whose answers change: one for each time it is asked."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)

    def __call__(self, host: str, port: int) -> list[str]:
        return [self.answers.pop(0)]


async def test_a_name_that_changes_its_meaning_gets_nowhere(server: Any) -> None:
    """It was public when it was checked, and is this machine when it is called."""
    resolve = Names("1.1.1.1", "127.0.0.1")
    url = f"https://llm.example.com:{server.server_port}/"
    check_url(url, resolve)

    async with guarded_client(resolve=resolve, tls=server.tls) as client:
        with pytest.raises(httpx2.ConnectError, match="private network"):
            await client.get(url)

    assert server.seen == []


async def test_it_connects_to_the_checked_address_under_the_right_name(server: Any, settings: Any) -> None:
    settings.PRIVATE_PROVIDER_HOSTS = ["llm.example.com", "other.example.com"]
    port = server.server_port

    async with guarded_client(resolve=Names("127.0.0.1", "127.0.0.1"), tls=server.tls) as client:
        answer = await client.get(f"https://llm.example.com:{port}/")
        with pytest.raises(httpx2.ConnectError, match="CERTIFICATE"):
            await client.get(f"https://other.example.com:{port}/")

    assert answer.status_code == 200
    assert server.seen == [("/", f"llm.example.com:{port}", "")]
    assert server.names == ["llm.example.com", "other.example.com"]


async def test_it_follows_no_redirect_and_no_proxy(server: Any, settings: Any, monkeypatch: Any) -> None:
    settings.PRIVATE_PROVIDER_HOSTS = ["llm.example.com"]
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    stand_in = StandIn.of(Secret(KEY))

    async with guarded_client(resolve=Names("127.0.0.1"), tls=server.tls) as client:
        url = f"https://llm.example.com:{server.server_port}/redirect"
        answer = await client.get(url, headers={"authorization": f"Bearer {stand_in}"})

    assert answer.status_code == 302
    assert KEY not in str(answer.headers.raw)
    assert [path for path, *_ in server.seen] == ["/redirect"]


@pytest.mark.parametrize("url", ["https://localhost:{port}/", "https://127.0.0.1:{port}/", "http://127.0.0.1:{port}/"])
async def test_the_client_reaches_no_private_address_by_itself(server: Any, url: str) -> None:
    async with guarded_client(tls=server.tls) as client:
        with pytest.raises(httpx2.ConnectError):
            await client.get(url.format(port=server.server_port))

    assert server.seen == []


@pytest.mark.parametrize("path", ["/", "/refuses"])
async def test_the_key_is_put_in_on_the_wire_and_taken_out_of_the_answer(server: Any, settings: Any, path: str) -> None:
    settings.PRIVATE_PROVIDER_HOSTS = ["llm.example.com"]
    stand_in = StandIn.of(Secret(KEY))

    async with guarded_client(resolve=Names("127.0.0.1"), tls=server.tls) as client:
        url = f"https://llm.example.com:{server.server_port}{path}"
        answer = await client.get(url, headers={"authorization": f"Bearer {stand_in}"})

    assert server.seen[0][2] == f"Bearer {KEY}"
    assert answer.text == f"you sent Bearer {stand_in}, thanks"
    assert answer.headers["echo"] == f"Bearer {stand_in}"
    assert KEY not in str(vars(answer.request)) + str(answer.headers.raw)


async def test_a_stand_in_that_is_no_longer_kept_opens_nothing(server: Any, settings: Any) -> None:
    settings.PRIVATE_PROVIDER_HOSTS = ["llm.example.com"]
    word = str(StandIn.of(Secret(KEY)))

    async with guarded_client(resolve=Names("127.0.0.1"), tls=server.tls) as client:
        await client.get(f"https://llm.example.com:{server.server_port}/", headers={"authorization": word})

    assert server.seen[0][2] == word


async def test_many_callers_at_once_get_each_their_own_key(server: Any, settings: Any) -> None:
    settings.PRIVATE_PROVIDER_HOSTS = ["llm.example.com"]
    stand_ins = [StandIn.of(Secret(f"sk-number-{n:016}")) for n in range(12)]

    async with guarded_client(resolve=lambda host, port: ["127.0.0.1"], tls=server.tls) as client:
        url = f"https://llm.example.com:{server.server_port}/"
        await asyncio.gather(*(client.get(f"{url}{n}", headers={"authorization": s}) for n, s in enumerate(stand_ins)))

    assert sorted((path, sent) for path, _, sent in server.seen) == sorted(
        (f"/{n}", f"sk-number-{n:016}") for n in range(12)
    )


@pytest.mark.parametrize("size", [1, 2, 3, 7, 25, 26, 27, 1000])
def test_a_key_cut_in_pieces_is_found_all_the_same(size: int) -> None:
    text = f"{KEY}{KEY[:10]} and sk-{KEY}, sk-canary-{KEY[:-1]}".encode()
    scrub = Scrubber(Secret(KEY), "[key]")

    pieces = [scrub(text[start : start + size]) for start in range(0, len(text), size)]

    assert b"".join([*pieces, scrub.rest()]) == text.replace(KEY.encode(), b"[key]")


def test_a_word_too_short_to_be_a_secret_is_left_in_the_text() -> None:
    assert Scrubber(Secret("ollama"), "[key]")(b"ask ollama") == b"ask ollama"


def test_every_address_of_the_lists_is_one() -> None:
    for address in (*PRIVATE[:-2], *PUBLIC):
        ipaddress.ip_address(address.partition("%")[0])
