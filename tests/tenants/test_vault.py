"""Envelope encryption: what is sealed opens for its own row and tenant alone, with any kind of master key."""

import asyncio
import base64
import json
import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.core.management import CommandError, call_command
from django.db import transaction

from apps.tenants import checks, provider_keys
from apps.tenants.context import tenant_context
from apps.tenants.models import DataKey, ProviderKey, Tenant
from apps.tenants.threads import in_thread
from apps.tenants.vault import Secret, aes, masters, open_sealed, seal, sealing
from apps.tenants.vault.local import LocalMaster
from tests.conftest import Cast

SECRET = Secret("sk-acme-0123456789abcdef")
everywhere = pytest.mark.django_db(transaction=True, databases=["default", "platform"])


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """No data key and no master key is kept from another test."""
    sealing.forget()
    masters.master.cache_clear()
    yield
    sealing.forget()
    masters.master.cache_clear()


@pytest.fixture
def key_file(settings: Any, tmp_path: Path) -> Path:
    path = tmp_path / "keys" / "master.key"
    settings.MASTER_KEY, settings.MASTER_KEY_FALLBACKS = f"file://{path}", []
    return path


def enter(tenant: Tenant, name: str = "ours", secret: Secret = SECRET) -> ProviderKey:
    with tenant_context(tenant):
        return provider_keys.add(ProviderKey(name=name), secret)


def revealed(tenant: Tenant, name: str = "ours") -> str:
    sealing.forget()
    with tenant_context(tenant):
        return provider_keys.reveal(ProviderKey.objects.get(name=name)).reveal()


def test_a_secret_opens_for_its_own_row_alone(cast: Cast, key_file: Path) -> None:
    row, other = uuid4(), uuid4()

    with tenant_context(cast.acme), transaction.atomic():
        sealed, data_key = seal(SECRET, row)

        assert SECRET.reveal().encode() not in sealed + data_key.wrapped
        assert open_sealed(sealed, data_key.pk, row).reveal() == SECRET.reveal()
        with pytest.raises(masters.Damaged):
            open_sealed(sealed, data_key.pk, other)
        for changed in (sealed[:-1] + bytes([sealed[-1] ^ 1]), b"", b"\x02" + sealed[1:], sealed[:20]):
            with pytest.raises(masters.Damaged):
                open_sealed(changed, data_key.pk, row)


def test_rows_copied_to_another_tenant_open_nothing(cast: Cast, key_file: Path) -> None:
    row = enter(cast.acme)
    with tenant_context(cast.acme):
        wrapped = bytes(DataKey.objects.get().wrapped)

    with tenant_context(cast.globex):
        stolen = DataKey.objects.create(wrapped=wrapped, master=masters.current().name)
        with pytest.raises(masters.Damaged):
            open_sealed(row.sealed, stolen.pk, row.pk)
        with pytest.raises(masters.Damaged):  # nor is what was opened for another tenant lent to this one
            open_sealed(row.sealed, row.data_key_id, row.pk)


def test_the_same_secret_is_sealed_differently_each_time(cast: Cast, key_file: Path) -> None:
    row = uuid4()

    with tenant_context(cast.acme), transaction.atomic():
        assert seal(SECRET, row)[0] != seal(SECRET, row)[0]
        assert DataKey.objects.count() == 1


def test_an_opened_data_key_is_kept_for_minutes_only(cast: Cast, key_file: Path, monkeypatch: Any) -> None:
    row = enter(cast.acme)
    key_file.unlink()
    masters.master.cache_clear()

    with tenant_context(cast.acme):
        assert provider_keys.reveal(row).reveal() == SECRET.reveal()
        now = sealing.time.monotonic()
        monkeypatch.setattr(sealing.time, "monotonic", lambda: now + sealing.KEPT_S + 1)
        with pytest.raises(masters.Misconfigured):
            provider_keys.reveal(row)


def test_a_secret_shows_its_last_four_and_no_more() -> None:
    assert f"{SECRET} {SECRET!r} {[SECRET]}" == "•••• cdef •••• cdef [•••• cdef]"
    assert repr(Secret("ollama")) == "••••"
    with pytest.raises(TypeError):
        SECRET.__reduce__()


# --- The key file


def test_the_file_is_made_at_first_use_for_its_owner_alone(cast: Cast, key_file: Path) -> None:
    enter(cast.acme)

    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert [path.name for path in key_file.parent.iterdir()] == ["master.key"]
    assert len(bytes.fromhex(key_file.read_text())) == 32
    assert revealed(cast.acme) == SECRET.reveal()


def test_processes_that_begin_at_once_agree_on_one_key(cast: Cast, key_file: Path) -> None:
    many = [LocalMaster(str(key_file)) for _ in range(8)]
    for each in many:
        each.make()

    assert len({each.name for each in many}) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777])
def test_a_file_that_others_may_read_is_refused(cast: Cast, key_file: Path, mode: int) -> None:
    enter(cast.acme)
    key_file.chmod(mode)
    masters.master.cache_clear()
    sealing.forget()

    with pytest.raises(masters.Misconfigured, match="chmod 600"):
        enter(cast.acme, "another")
    assert [error.id for error in checks.master_keys_are_right()] == ["tenants.E003"]


@pytest.mark.parametrize("content", ["", "no key", "ab" * 16])
def test_a_file_that_holds_no_key_is_refused_and_kept(cast: Cast, key_file: Path, content: str) -> None:
    key_file.parent.mkdir()
    key_file.write_text(content)
    key_file.chmod(0o600)

    with pytest.raises(masters.Misconfigured, match="holds no master key"):
        enter(cast.acme)
    assert key_file.read_text() == content


def test_a_lost_file_is_never_made_anew(cast: Cast, key_file: Path, settings: Any) -> None:
    """Not for a workspace that has no key yet, either: another one has."""
    enter(cast.acme)
    saved = key_file.rename(key_file.with_name("saved"))
    masters.master.cache_clear()
    sealing.forget()

    with pytest.raises(masters.Misconfigured, match="Restore it from a backup"):
        enter(cast.globex)
    assert not key_file.exists()
    assert "Restore it" in checks.master_keys_are_right(databases=["default"])[0].msg

    settings.MASTER_KEY_FALLBACKS = [f"file://{saved}"]
    enter(cast.globex)
    assert key_file.exists()
    assert (revealed(cast.acme), revealed(cast.globex)) == (SECRET.reveal(), SECRET.reveal())


def test_another_key_in_its_place_is_named(cast: Cast, key_file: Path) -> None:
    enter(cast.acme)
    key_file.write_text(aes.new_key().hex())
    masters.master.cache_clear()

    with pytest.raises(masters.MasterMissing, match="MASTER_KEY_FALLBACKS"):
        revealed(cast.acme)


@pytest.mark.parametrize(
    "url", ["master.key", "file://relative", "ftp://x", "aws-kms://key", "gcp-kms://key", "file://"]
)
def test_a_setting_that_cannot_be_is_refused_at_start(cast: Cast, settings: Any, url: str) -> None:
    settings.MASTER_KEY = url

    assert [error.id for error in checks.master_keys_are_right()] == ["tenants.E003"]


# --- Key services, over HTTP


class KeyService(BaseHTTPRequestHandler):
    """Both clouds' wire formats. Wraps by encrypting with a key of its own, bound to what it was given beside it."""

    key = aes.new_key()
    is_down = False
    seen: list[tuple[str, dict[str, Any]]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/token":  # where a service account of Google's shows who it is
            return self.answer(200, {"access_token": "a-token", "expires_in": 3600, "token_type": "Bearer"})
        asked = json.loads(body)
        self.seen.append((self.headers.get("x-amz-target") or self.path, asked))
        if self.is_down:
            return self.answer(503, {"__type": "KMSInternalException"})
        return self.of_aws(asked) if "x-amz-target" in self.headers else self.of_google(asked)

    def of_aws(self, asked: dict[str, Any]) -> None:
        assert "AWS4-HMAC-SHA256" in self.headers["authorization"]
        aad = json.dumps(asked["EncryptionContext"]).encode()
        if self.headers["x-amz-target"] == "TrentService.Encrypt":
            wrapped = aes.encrypt(self.key, base64.b64decode(asked["Plaintext"]), aad)
            return self.answer(200, {"CiphertextBlob": base64.b64encode(wrapped).decode(), "KeyId": asked["KeyId"]})
        try:
            plaintext = aes.decrypt(self.key, base64.b64decode(asked["CiphertextBlob"]), aad)
        except aes.DoesNotOpen:
            return self.answer(400, {"__type": "InvalidCiphertextException"})
        return self.answer(200, {"Plaintext": base64.b64encode(plaintext).decode(), "KeyId": asked["KeyId"]})

    def of_google(self, asked: dict[str, Any]) -> None:
        assert self.headers["authorization"] == "Bearer a-token"
        aad = asked["additionalAuthenticatedData"].encode()
        if self.path.endswith(":encrypt"):
            wrapped = aes.encrypt(self.key, base64.b64decode(asked["plaintext"]), aad)
            return self.answer(200, {"ciphertext": base64.b64encode(wrapped).decode()})
        try:
            plaintext = aes.decrypt(self.key, base64.b64decode(asked["ciphertext"]), aad)
        except aes.DoesNotOpen:
            return self.answer(400, {"error": {"code": 400, "status": "INVALID_ARGUMENT"}})
        return self.answer(200, {"plaintext": base64.b64encode(plaintext).decode()})

    def answer(self, status: int, said: dict[str, Any]) -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("content-type", "application/x-amz-json-1.1")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


def service_account(folder: Path, token_uri: str) -> str:
    """The file by which a machine outside of Google's is one of its service accounts."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    encoding = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = folder / "account.json"
    account = {"type": "service_account", "client_email": "corbel@p.example", "token_uri": token_uri, "project_id": "p"}
    path.write_text(json.dumps({**account, "private_key": key.private_bytes(*encoding).decode()}))
    return str(path)


@pytest.fixture
def service(monkeypatch: Any, tmp_path: Path) -> Iterator[type[KeyService]]:
    handler = type("Handler", (KeyService,), {"seen": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        place = f"127.0.0.1:{server.server_port}"
        for name, value in {
            "AWS_ENDPOINT_URL_KMS": f"http://{place}",
            "AWS_ACCESS_KEY_ID": "id",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_MAX_ATTEMPTS": "1",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS": f"http://{place}/",
            "GOOGLE_APPLICATION_CREDENTIALS": service_account(tmp_path, f"http://{place}/token"),
        }.items():
            monkeypatch.setenv(name, value)
        yield handler
        server.shutdown()
        thread.join()


AWS = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd"
GCP = "projects/p/locations/europe/keyRings/r/cryptoKeys/k"


@pytest.mark.parametrize(("url", "name"), [(f"aws-kms://{AWS}", AWS), (f"gcp-kms://{GCP}", GCP)])
def test_a_key_service_wraps_and_unwraps(
    cast: Cast, settings: Any, service: type[KeyService], url: str, name: str
) -> None:
    settings.MASTER_KEY = url

    row = enter(cast.acme)

    assert checks.master_keys_are_right() == []
    assert revealed(cast.acme) == SECRET.reveal()
    with tenant_context(cast.acme):
        data_key = DataKey.objects.get()
        assert data_key.master == name
    assert len(service.seen) == 2 and SECRET.reveal() not in str(service.seen)
    with tenant_context(cast.globex):
        DataKey.objects.create(wrapped=data_key.wrapped, master=name)
        with pytest.raises(masters.Damaged):
            open_sealed(row.sealed, DataKey.objects.get().pk, row.pk)


@pytest.mark.parametrize("url", [f"aws-kms://{AWS}", f"gcp-kms://{GCP}"])
def test_a_key_service_that_is_down_is_said_to_be(
    cast: Cast, settings: Any, service: type[KeyService], url: str
) -> None:
    settings.MASTER_KEY = url
    enter(cast.acme)
    service.is_down = True

    with pytest.raises(masters.Unreachable):
        revealed(cast.acme)


@pytest.mark.parametrize(
    ("library", "url", "extra"), [("boto3", f"aws-kms://{AWS}", "aws"), ("google.auth", f"gcp-kms://{GCP}", "gcp")]
)
def test_a_missing_library_is_said_at_start(
    settings: Any, monkeypatch: Any, library: str, url: str, extra: str
) -> None:
    settings.MASTER_KEY = url
    monkeypatch.setitem(__import__("sys").modules, library, None)

    assert f"Install the extra {extra}" in checks.master_keys_are_right()[0].msg


# --- Rotation


def rotate(*arguments: str) -> str:
    said = StringIO()
    call_command("rotate_keys", *arguments, stdout=said)
    return said.getvalue()


@everywhere
def test_another_master_key_wraps_every_data_key(committed_cast: Cast, key_file: Path, settings: Any) -> None:
    enter(committed_cast.acme)
    enter(committed_cast.globex, secret=Secret("sk-globex-0123456789ab"))
    settings.MASTER_KEY, settings.MASTER_KEY_FALLBACKS = f"file://{key_file}.new", [settings.MASTER_KEY]
    masters.master.cache_clear()

    first, second = rotate(), rotate()

    assert first.startswith("2 workspaces: 2 data keys wrapped anew, 0 secrets")
    assert second.startswith("0 workspaces: 0 data keys")
    settings.MASTER_KEY_FALLBACKS = []
    key_file.unlink()
    masters.master.cache_clear()
    assert (revealed(committed_cast.acme), revealed(committed_cast.globex)) == (
        SECRET.reveal(),
        "sk-globex-0123456789ab",
    )


@everywhere
def test_new_data_keys_seal_everything_anew(committed_cast: Cast, key_file: Path) -> None:
    before = enter(committed_cast.acme)
    enter(committed_cast.acme, "second")

    said = rotate("--data")

    assert said.startswith("1 workspaces: 0 data keys wrapped anew, 2 secrets sealed anew, 1 old data keys removed.")
    with tenant_context(committed_cast.acme):
        after = ProviderKey.objects.get(name="ours")
        assert [after.data_key] == list(DataKey.objects.all())
    assert bytes(after.sealed) != bytes(before.sealed) and after.data_key_id != before.data_key_id
    assert (revealed(committed_cast.acme), revealed(committed_cast.acme, "second")) == (SECRET.reveal(),) * 2


@everywhere
def test_a_workspace_that_cannot_be_rotated_keeps_what_it_has(committed_cast: Cast, key_file: Path) -> None:
    enter(committed_cast.acme)
    with tenant_context(committed_cast.globex):
        DataKey.objects.create(wrapped=b"nothing", master="file:gone")

    with pytest.raises(CommandError, match="1 workspaces were left"):
        rotate()
    with tenant_context(committed_cast.globex):
        assert bytes(DataKey.objects.get().wrapped) == b"nothing"
    assert revealed(committed_cast.acme) == SECRET.reveal()


@everywhere
async def test_keys_entered_during_a_rotation_are_not_lost(committed_cast: Cast, key_file: Path) -> None:
    await in_thread(enter, committed_cast.acme)

    entering = [in_thread(enter, committed_cast.acme, f"key-{n}", Secret(f"sk-number-{n:012}")) for n in range(8)]
    await asyncio.gather(*entering, *(in_thread(rotate, *data) for data in [["--data"], [], ["--data"]]))

    def everything() -> list[str]:
        return sorted(revealed(committed_cast.acme, f"key-{n}") for n in range(8))

    assert await in_thread(everything) == [f"sk-number-{n:012}" for n in range(8)]
