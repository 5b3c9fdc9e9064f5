"""What the archive of a workspace holds: everything of it, and nothing else."""

import hashlib
import json
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile

from apps.knowledge.add import remove, store
from apps.knowledge.models import Document
from apps.runs.models import ModelRoute
from apps.tenants import exporting
from apps.tenants.archive import owned_models, reason_to_leave_out
from apps.tenants.context import tenant_context
from apps.tenants.models import Domain, Export, Flag, Invitation
from config.celery import app as celery
from tests.conftest import Cast

from .belongings import MINE, SECRET, THEIRS, fill, in_background, make, wait_until
from .silos import move

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "platform"])
URL = "/t/acme/leaving/"


@pytest.fixture(autouse=True)
def queue(transactional_db: None, media: Path) -> Iterator[None]:
    """A real broker that no worker listens to."""
    yield
    celery.control.purge()


def opened(export: Export) -> zipfile.ZipFile:
    return zipfile.ZipFile(export.file.path)


def jsonl(archive: zipfile.ZipFile, path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in archive.read(path).decode().splitlines()]


@pytest.mark.parametrize("home", ["pool", "silo"])
def test_the_archive_has_every_row_and_every_byte(planted: Cast, home: str) -> None:
    if home == "silo":
        move("promote")
    with tenant_context(planted.acme):
        before = str(Export.objects.get().id)
    export = make(planted.acme, planted.alice)

    with opened(export) as archive:
        assert archive.testzip() is None
        manifest = json.loads(archive.read("manifest.json"))
        exported = {table["table"]: jsonl(archive, table["path"]) for table in manifest["tables"]}
        people = jsonl(archive, "people.jsonl")
        originals = [name for name in archive.namelist() if name.startswith("files/")]
        original = archive.read(originals[0])

    with tenant_context(planted.acme):
        stored = {
            model._meta.db_table: {str(row.pk) for row in model._base_manager.filter(tenant_id=planted.acme.id)}
            for model in owned_models()
        }
        document = Document.objects.get()
    stored["tenants_export"].add(before)  # replaced since
    assert {table: {row["id"] for row in rows} for table, rows in exported.items()} == stored
    counts = {table: len(ids) for table, ids in stored.items()}
    assert {table["table"]: table["rows"] for table in manifest["tables"]} == counts
    assert export.done == export.total == sum(counts.values()) + 1
    path = f"files/knowledge_document/{document.id}/{MINE}.md"
    assert (originals, original) == ([path], Path(document.file.path).read_bytes())
    row = exported["knowledge_document"][0]
    assert (row["title"], row["text"], row["file"]) == (document.title, document.text, document.file.name)
    assert row["created_at"] == document.created_at.isoformat()
    assert {(person["email"], person["name"]) for person in people} == {
        ("alice@acme.example", "Alice"),
        ("bob@acme.example", "Bob"),
    }


def test_the_manifest_proves_every_file(planted: Cast) -> None:
    with opened(make(planted.acme, planted.alice)) as archive:
        manifest = json.loads(archive.read("manifest.json"))

        assert (manifest["format"], manifest["version"], manifest["workspace"]["address"]) == (
            "corbel-export",
            1,
            "acme",
        )
        assert {entry["path"] for entry in manifest["entries"]} == set(archive.namelist()) - {"manifest.json"}
        for entry in manifest["entries"]:
            content = archive.read(entry["path"])
            assert (hashlib.sha256(content).hexdigest(), len(content)) == (entry["sha256"], entry["bytes"])
        assert f"Name {MINE}" in archive.read("README.txt").decode()


def test_no_secret_and_nothing_of_another_tenant_is_in_it(planted: Cast) -> None:
    Flag.unscoped.using("platform").create(name="everybodys-switch")
    ModelRoute.unscoped.using("platform").create(provider="everybodys-provider", model="everybodys-model")
    with tenant_context(planted.acme):
        digest, token = Invitation.objects.get().token_digest, Domain.objects.get().token
        assert (Flag.objects.count(), ModelRoute.objects.count()) == (2, 2)
    with opened(make(planted.acme, planted.alice)) as archive:
        everything = "".join(name + archive.read(name).decode() for name in archive.namelist())
        left_out = {table["table"]: table["left_out"] for table in json.loads(archive.read("manifest.json"))["tables"]}

    assert MINE in everything
    secrets = (digest, token, SECRET, SECRET.encode().hex(), planted.alice.password)
    for absent in (THEIRS, str(planted.globex.id), "charlie", "everybodys", *secrets):
        assert absent not in everything
    assert left_out["tenants_invitation"] == {"token_digest": "a secret"}
    assert left_out["tenants_domain"] == {"token": "a secret"}
    assert left_out["tenants_apikey"] == {"digest": "a secret"}
    assert left_out["runs_run"] == {}  # which keys it was called with are pointers
    assert left_out["knowledge_chunk"].keys() == {"embedding", "bits", "words"}


def test_columns_that_are_left_out_are_these() -> None:
    left_out = {
        f"{model._meta.db_table}.{field.name}"
        for model in owned_models()
        for field in model._meta.concrete_fields
        if reason_to_leave_out(field)
    }

    assert left_out == {
        "tenants_invitation.token_digest",
        "tenants_domain.token",
        "tenants_apikey.digest",
        "tenants_datakey.wrapped",
        "tenants_providerkey.sealed",
        "runs_cachedanswer.embedding",
        "knowledge_chunk.embedding",
        "knowledge_chunk.bits",
        "knowledge_chunk.words",
    }


def test_a_file_that_is_gone_is_named_as_missing(committed_cast: Cast) -> None:
    with tenant_context(committed_cast.acme):
        document = store(ContentFile(b"Some text.", name="lost.txt"), user=None)
        Path(document.file.path).unlink()

    with opened(make(committed_cast.acme, committed_cast.alice)) as archive:
        missing = json.loads(archive.read("manifest.json"))["missing_files"]

    assert missing == [{"table": "knowledge_document", "id": str(document.id), "column": "file"}]


@pytest.mark.parametrize(
    "filename", ["../../etc/passwd.txt", "..\\..\\boot.txt", "C:\\x.txt", "a/b\u202e.txt", "..", "???", "über x.txt"]
)
def test_no_name_leads_out_of_the_archive(committed_cast: Cast, filename: str) -> None:
    with tenant_context(committed_cast.acme):
        document = store(ContentFile(b"Some text.", name="x.txt"), user=None)
        Document.objects.update(filename=filename)

    with opened(make(committed_cast.acme, committed_cast.alice)) as archive:
        (name,) = [name for name in archive.namelist() if name.startswith("files/")]

    folder, _, last = name.rpartition("/")
    assert folder == f"files/knowledge_document/{document.id}"
    assert not set(last) & set("\\/:\u202e") and not last.startswith(".")


def test_rows_are_of_one_moment_though_people_go_on_working(committed_cast: Cast) -> None:
    """A document that is removed while the archive is written is in it whole, or not at all."""
    fill(committed_cast.acme, runs=20_000)
    with tenant_context(committed_cast.acme):
        document = store(ContentFile(b"Some text.", name="x.txt"), user=None)
        export = exporting.ask_for_export(committed_cast.alice)
        writing = in_background(committed_cast.acme, lambda: exporting.make(export.id))
        wait_until(lambda: Export.objects.get(pk=export.pk).total > 0)
        remove(Document.objects.get())
        writing.join()
        export.refresh_from_db()

    with opened(export) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        assert [row["id"] for row in jsonl(archive, "tables/knowledge_document.jsonl")] == [str(document.id)]
        assert len(jsonl(archive, "tables/runs_run.jsonl")) == 20_000
    assert manifest["missing_files"] == [{"table": "knowledge_document", "id": str(document.id), "column": "file"}]


def test_memory_does_not_grow_with_the_workspace(committed_cast: Cast) -> None:
    """Peak of what Python allocates: about the same for 500 rows as for ten times as many and 40 MB of files."""

    def peak_mb() -> float:
        tracemalloc.start()
        make(committed_cast.acme, committed_cast.alice)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak / 2**20

    fill(committed_cast.acme, runs=500)
    small = peak_mb()
    fill(committed_cast.acme, runs=4_500)
    with tenant_context(committed_cast.acme):
        for number in range(2):
            store(ContentFile(f"{number}\n".encode() + b"Words. " * 3_000_000, name="large.txt"), user=None)

    assert peak_mb() < small + 6
