"""What a workspace takes along: one zip with every row and every file it owns, in formats that outlive us.

    README.txt            for a person
    workspace.json        the workspace itself
    tables/<table>.jsonl  one JSON object per row, for every table that has a tenant
    people.jsonl          id, address and name of each user whom a row points at
    files/<table>/<id>/   the uploaded bytes, under the names they came with
    manifest.json         counts, what was left out and why, SHA-256 of each of the above

A new table is in it without a line here: tables are found in Django's registry. A column whose name or type says that
it holds a secret stays out, and so does what the database computes.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import PurePath, PureWindowsPath
from typing import IO, Any
from uuid import UUID
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from django.apps import apps
from django.db import models
from django.db.models.query import ValuesIterable
from django.utils import timezone
from pgvector.django import VectorField

from .context import require_tenant_id
from .models import Export, Tenant, User

FORMAT, VERSION = "corbel-export", 1
ROWS_AT_ONCE = 500
BLOCK = 1 << 20
SECRET = re.compile(
    r"(^|_)(token|secret|password|digest|hash|hmac|salt|cipher\w*|encrypted|sealed|wrapped|credentials?|key)(_|$)"
)
COMPRESSED = {".pdf", ".docx", ".zip", ".png", ".jpg", ".jpeg"}

README = """\
Everything that the workspace “{name}” owns, as of {at:%d %B %Y, %H:%M} UTC.

tables/       The rows of each table, one JSON object per line (JSON Lines, UTF-8). All of them were read at the same
              moment, so every pointer finds its row: a message's conversation_id is the id of a conversation.
              prompt_version_id may name a prompt of the product, which isn't yours and not in here.
people.jsonl  The people those rows name by user id. Their accounts are their own and are not in here.
files/        The files as they were uploaded.
manifest.json What is in this archive: rows per table, and the SHA-256 of every file.

Conversations of all members are included, private ones too. Times are in UTC. Not included are secrets (what opens
an invitation, what proves a domain, API keys, keys of providers) and what can be computed again (embeddings, search
words); manifest.json names each such column.
"""

OnProgress = Callable[[int], None]


def owned_models() -> list[type[models.Model]]:
    """Every model whose rows belong to a tenant, by name."""
    owned = [model for model in apps.get_models() if any(f.column == "tenant_id" for f in model._meta.concrete_fields)]
    return sorted(owned, key=lambda model: model._meta.label_lower)


def rows_of(model: type[models.Model]) -> models.QuerySet[Any]:
    """The active tenant's own rows."""
    return model._base_manager.filter(tenant_id=require_tenant_id())


def count_steps() -> int:
    """How many rows and files `write` will report."""
    return sum(rows_of(model).count() for model in owned_models()) + sum(
        with_a_file(model, field).count() for model, field in file_columns()
    )


def write(file: IO[bytes], on_progress: OnProgress) -> None:
    """Write the active tenant's archive to `file`. Rows are read in the transaction that the caller has begun.

    Memory doesn't grow with rows or with the size of files, only by one line of the manifest for each file.
    """
    with ZipFile(file, "w", ZIP_DEFLATED, compresslevel=3) as archive:
        Writer(archive, on_progress).write()


class Writer:
    def __init__(self, archive: ZipFile, on_progress: OnProgress) -> None:
        self.archive = archive
        self.on_progress = on_progress
        self.at = timezone.now()
        self.done = 0
        self.people: set[UUID] = set()
        self.entries: list[dict[str, Any]] = []

    def write(self) -> None:
        tenant = Tenant.objects.get(pk=require_tenant_id())
        with self.entry("README.txt") as entry:
            entry.write(README.format(name=tenant.name, at=self.at).encode())
        with self.entry("workspace.json") as entry:
            entry.write(as_json({name: getattr(tenant, name) for name in columns(Tenant)[0]}, indent=2))
        tables = [self.table(model) for model in owned_models()]
        people = self.write_people()
        missing = [lost for model, field in file_columns() for lost in self.files(model, field)]
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "workspace": {"id": tenant.id, "name": tenant.name, "address": tenant.slug},
            "made_at": self.at,
            "people": people,
            "tables": tables,
            "missing_files": missing,
            "entries": self.entries,
        }
        with self.entry("manifest.json") as entry:
            entry.write(as_json(manifest, indent=2))

    def table(self, model: type[models.Model]) -> dict[str, Any]:
        kept, left_out = columns(model)
        path = f"tables/{model._meta.db_table}.jsonl"
        people = [f.attname for f in model._meta.concrete_fields if f.related_model is User]
        rows = 0
        with self.entry(path) as entry:
            # With a cursor on the server, which the transaction keeps: Django's own switch for it is off for poolers.
            query: Any = rows_of(model).values(*kept)
            for row in ValuesIterable(query, chunked_fetch=True, chunk_size=ROWS_AT_ONCE):
                entry.write(as_json(row) + b"\n")
                self.people.update(row[name] for name in people if row[name])
                rows += 1
                self.step()
        return {"table": model._meta.db_table, "path": path, "rows": rows, "left_out": left_out}

    def write_people(self) -> int:
        """Users that are gone meanwhile are not in it; the audit log has the addresses of those who acted."""
        ids, found = sorted(self.people), 0
        with self.entry("people.jsonl") as entry:
            for start in range(0, len(ids), ROWS_AT_ONCE):
                for person in User.objects.filter(pk__in=ids[start : start + ROWS_AT_ONCE]).values(
                    "id", "email", "name"
                ):
                    entry.write(as_json(person) + b"\n")
                    found += 1
        return found

    def files(self, model: type[models.Model], field: models.FileField) -> Iterator[dict[str, Any]]:
        """Write the files of one column. Yields those that are no longer in the storage."""
        names = ["pk", field.name, *({"filename"} & {f.name for f in model._meta.concrete_fields})]
        query: Any = with_a_file(model, field).values(*names)
        for row in ValuesIterable(query, chunked_fetch=True, chunk_size=ROWS_AT_ONCE):
            path = f"files/{model._meta.db_table}/{row['pk']}/{plain_name(row.get('filename') or row[field.name])}"
            origin = {"table": model._meta.db_table, "id": row["pk"], "column": field.name}
            try:
                stored = field.storage.open(row[field.name], "rb")
            except FileNotFoundError:  # removed since the rows were read
                yield origin
            else:
                with stored, self.entry(path, **origin) as entry:
                    for block in stored.chunks(BLOCK):
                        entry.write(block)
            self.step()

    @contextmanager
    def entry(self, path: str, **origin: Any) -> Iterator["Digest"]:
        info = ZipInfo(path, self.at.timetuple()[:6])
        info.compress_type = ZIP_STORED if PurePath(path).suffix.lower() in COMPRESSED else ZIP_DEFLATED
        info.external_attr = 0o600 << 16
        with self.archive.open(info, "w", force_zip64=True) as opened:
            digest = Digest(opened)
            yield digest
        self.entries.append({"path": path, "bytes": digest.size, "sha256": digest.hex(), **origin})

    def step(self) -> None:
        self.done += 1
        self.on_progress(self.done)


class Digest:
    """Counts and hashes what it hands on."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target, self._sha256, self.size = target, hashlib.sha256(), 0

    def write(self, block: bytes) -> None:
        self._target.write(block)
        self._sha256.update(block)
        self.size += len(block)

    def hex(self) -> str:
        return self._sha256.hexdigest()


def columns(model: type[models.Model]) -> tuple[list[str], dict[str, str]]:
    """The columns that go into the archive, and those that don't with the reason."""
    reasons = {field.attname: reason_to_leave_out(field) for field in model._meta.concrete_fields}
    kept = [name for name, reason in reasons.items() if not reason]
    return kept, {name: reason for name, reason in reasons.items() if reason}


def reason_to_leave_out(field: "models.Field[Any, Any]") -> str:
    if field.generated or isinstance(field, VectorField):
        return "computed from other columns"
    if not field.is_relation and (SECRET.search(field.name) or isinstance(field, models.BinaryField)):
        return "a secret"
    return ""


def file_columns() -> list[tuple[type[models.Model], models.FileField]]:
    """Where uploaded files are named. Archives themselves are none."""
    return [
        (model, field)
        for model in owned_models()
        for field in model._meta.concrete_fields
        if isinstance(field, models.FileField) and model is not Export
    ]


def with_a_file(model: type[models.Model], field: models.FileField) -> models.QuerySet[Any]:
    return rows_of(model).exclude(**{field.name: ""})


def plain_name(name: str) -> str:
    """A file's name that is one on every system, and nothing but a name."""
    return re.sub(r"[^-\w. ]", "", PureWindowsPath(name).name).strip(". ") or "file"


def as_json(value: Any, indent: int | None = None) -> bytes:
    def plain(each: Any) -> str:
        return each.isoformat() if isinstance(each, date | datetime) else str(each)

    return json.dumps(value, default=plain, ensure_ascii=False, indent=indent).encode()
