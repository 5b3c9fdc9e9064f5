"""What everything before left behind: keys in Redis, entries in the cache, files on disk."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile

from apps.chat import stream
from apps.chat.models import Message
from apps.knowledge.models import Document
from apps.tenants.context import tenant_context

from .attack import Visitor, undone
from .planting import WORD
from .report import tried
from .world import Side, World

# Keys that name no tenant, and why that is right. None may hold a tenant's text.
KEYS = {
    r"queue:message:.+": "a message that waits or that a worker holds: its tenant's id and the ids of objects",
    r"queue:.+": "who waits, whose turn it is and who works: ids, counts and times",
    r"beat:.+": "when the platform's own upkeep was last due",
    r"_kombu\.binding.+": "the names of the queues",
    r"circuit:[^:]+:.+": "whether the platform's own account with a provider answers: counts and times",
    r"cache:.+": "rate limits: how often an address did something, by digest",
}
OF_A_TENANT = re.compile(r"tenant:([0-9a-f-]{36}):.+")

NAMES = [
    "../../evil.txt",
    "..\\..\\evil.txt",
    "/etc/cron.d/evil.txt",
    "....//....//evil.txt",
    "%2e%2e%2fevil.txt",
    "evil.txt\0.pdf",
    "evil.txt/../../../evil.txt",
    ".htaccess",
    "x" * 300 + ".txt",
    "evil.t/../../xt",
]


def content(client: redis.Redis, key: str) -> str:
    """Whatever a key of any kind holds."""
    reads: dict[str, Any] = {
        "string": client.get,
        "list": lambda name: client.lrange(name, 0, -1),
        "set": client.smembers,
        "hash": client.hgetall,
        "zset": lambda name: client.zrange(name, 0, -1),
        "stream": client.xrange,
    }
    return str(reads[client.type(key)](key))


def test_every_key_names_its_tenant_or_holds_nothing_of_any(world: World) -> None:
    faults = []
    known = {str(side.tenant.pk): side.mark for side in (world.acme, world.globex)}
    with redis.Redis.from_url(settings.REDIS_URL, decode_responses=True, encoding_errors="replace") as client:
        for key in sorted(client.scan_iter(count=1_000)):
            marks = set(re.findall(rf"(?:acme|globex)-{WORD}-", content(client, key)))
            tried("keys in Redis")
            if match := OF_A_TENANT.fullmatch(key):
                faults += [f"{key} holds {marks}"] if marks - {known.get(match[1])} else []
            elif not any(re.fullmatch(pattern, key) for pattern in KEYS):
                faults.append(f"{key} names no tenant: give it a prefix, or KEYS in {__file__} the reason")
            elif marks:
                faults.append(f"{key} holds {marks}")

    assert not faults, "\n".join(faults)


async def test_a_stream_is_found_under_its_own_tenant_only(world: World) -> None:
    reply = world.acme.rows[Message][-1]
    said = {}
    for side in (world.acme, world.globex):
        with tenant_context(side.tenant):
            said[side.tenant.slug] = await stream.said_so_far(reply.pk)
    await stream.redis().aclose()

    assert world.acme.mark in said["acme"]
    assert said["globex"] == ""


@pytest.mark.parametrize("who", ["outsider", "anonymous", "owner"])
def test_no_address_leads_to_the_files(world: World, media_root: Path, who: str) -> None:
    """Not even the owner's: files go through views, which check who asks."""
    user = world.acme.owner if who == "owner" else world.outsiders[who]
    visitor = Visitor(world, user, None)
    static = Path(settings.STATIC_ROOT)
    got = []
    for file in sorted(path for path in (media_root / str(world.acme.tenant.pk)).rglob("*") if path.is_file()):
        inside = quote(str(file.relative_to(media_root)))
        up = "../" * len(static.parts)
        for path in (
            f"{settings.MEDIA_URL}{inside}",
            f"/media/{inside}",
            f"/{inside}",
            f"/static/{inside}",
            f"/static/{up}{str(file).lstrip('/')}",
            f"/static/{quote(up, safe='')}{quote(str(file).lstrip('/'), safe='')}",
            f"/static//{file}",
            f"/t/acme/{inside}",
            f"/t/acme/media/{inside}",
        ):
            answer = visitor.send("GET", path)
            tried("addresses of files", who)
            got += [path] if answer.status == 200 or f"{world.acme.mark}file" in answer.text else []

    assert got == []


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_an_uploads_name_leads_nowhere(world: World, media_root: Path, name: str) -> None:
    """What Globex uploads lies in Globex's folder, under a name of our own."""
    charlie = Visitor(world, world.globex.owner, world.acme)
    before = set(media_root.parent.rglob("*"))
    upload = SimpleUploadedFile("x", f"# Notes\n\nUploaded as {NAMES.index(name)}.\n".encode())
    upload._name = name  # what a browser sends; Django's own cleaning comes after
    with undone():
        charlie.client.post("/t/globex/documents/upload/", {"files": upload})
        with tenant_context(world.globex.tenant):
            stored = list(Document.objects.exclude(pk__in=[row.pk for row in world.globex.rows[Document]]))
        assert charlie.damage() == []
    new = {path for path in media_root.parent.rglob("*") if path.is_file()} - before
    for path in new:
        path.unlink()
    tried("names of uploads")

    assert len(stored) <= 1 and len(new) == len(stored)
    for path in new:
        assert path.is_relative_to(media_root / str(world.globex.tenant.pk))
        assert re.fullmatch(r"original(\.\w{0,9})?", path.name)


def test_what_was_written_on_disk_is_each_tenants_own(world: World, media_root: Path) -> None:
    def texts(side: Side) -> set[str]:
        folder = media_root / str(side.tenant.pk)
        return {path.read_bytes().decode(errors="replace") for path in folder.rglob("*") if path.is_file()}

    for side, other in ((world.acme, world.globex), (world.globex, world.acme)):
        assert any(side.mark in text for text in texts(side))
        assert not any(other.mark in text for text in texts(side))
        tried("files", side.tenant.slug, len(texts(side)))
    assert {path.name for path in media_root.iterdir()} == {str(s.tenant.pk) for s in (world.acme, world.globex)}
