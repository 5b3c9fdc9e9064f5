"""Taking everything out: who gets the archive, and what becomes of one that can't be made."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.management import call_command
from django.http import HttpResponse
from django.utils import timezone

from apps.tenants import exporting
from apps.tenants.context import tenant_context
from apps.tenants.models import AuditEvent, Export, Membership
from apps.tenants.tasks import delete_expired_exports, make_export
from config.celery import HEADER
from config.celery import app as celery
from tests.conftest import Cast, signed_in

from .belongings import fill, in_background, make, wait_until

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "platform"])
URL = "/t/acme/leaving/"


@pytest.fixture(autouse=True)
def queue(transactional_db: None, media: Path) -> Iterator[None]:
    """A real broker that no worker listens to."""
    yield
    celery.control.purge()


@async_to_sync
async def body(response: HttpResponse) -> bytes:
    return b"".join([part async for part in response])


# --- Who gets it


def test_owners_only(planted: Cast) -> None:
    export = make(planted.acme, planted.alice)
    requests: list[Callable[[Any], HttpResponse]] = [
        lambda client: client.get(URL),
        lambda client: client.post(f"{URL}export/"),
        lambda client: client.get(f"{URL}export/{export.id}/"),
    ]
    for role in (Membership.Role.ADMIN, Membership.Role.MEMBER, Membership.Role.VIEWER):
        with tenant_context(planted.acme):
            Membership.objects.filter(user=planted.bob).update(role=role)
        assert [ask(signed_in(planted.bob)).status_code for ask in requests] == [403, 403, 403]
    assert [ask(signed_in(planted.charlie)).status_code for ask in requests] == [404, 404, 404]
    assert signed_in(planted.charlie).get(f"/t/globex/leaving/export/{export.id}/").status_code == 404

    downloaded = requests[2](signed_in(planted.alice))

    assert body(downloaded) == Path(export.file.path).read_bytes()
    assert int(downloaded["Content-Length"]) == export.size_bytes == Path(export.file.path).stat().st_size
    assert "attachment" in downloaded["Content-Disposition"] and "no-store" in downloaded["Cache-Control"]


def test_asking_and_downloading_are_recorded(committed_cast: Cast) -> None:
    export = make(committed_cast.acme, committed_cast.alice)
    body(signed_in(committed_cast.alice).get(f"{URL}export/{export.id}/"))

    with tenant_context(committed_cast.acme):
        actions = AuditEvent.objects.order_by("at").values_list("action", flat=True)
        assert list(actions) == ["workspace.created", "export.requested", "export.downloaded"]


def test_no_address_leads_to_the_file_itself(committed_cast: Cast, settings: Any) -> None:
    export = make(committed_cast.acme, committed_cast.alice)
    client = signed_in(committed_cast.alice)

    for prefix in ("/", "/media/", settings.MEDIA_URL, "/static/", "/t/acme/"):
        assert client.get(f"{prefix}{export.file.name}").status_code == 404


# --- The way there


def test_the_page_follows_the_work_and_offers_the_archive(committed_cast: Cast) -> None:
    client = signed_in(committed_cast.alice)
    assert "Prepare an export" in client.get(URL).content.decode()

    waiting = client.post(f"{URL}export/", headers={"HX-Request": "true"}).content.decode()
    assert "Waiting for a worker" in waiting and 'hx-trigger="every 1s"' in waiting and "<html" not in waiting

    with tenant_context(committed_cast.acme):
        export = Export.objects.get()
        Export.objects.update(status=Export.Status.RUNNING, done=7, total=20)
    assert "7 of 20" in client.get(URL, headers={"HX-Request": "true"}).content.decode()

    make_export.apply(args=[str(export.id)], headers={HEADER: str(committed_cast.acme.id)})
    ready = client.get(URL).content.decode()
    in_a_week = timezone.now() + timedelta(days=7)
    assert f"{URL}export/{export.id}/" in ready and "every 1s" not in ready
    assert f"kept until {in_a_week.day} {in_a_week:%B %Y}" in ready


def test_one_is_made_at_a_time_and_replaces_the_one_before(committed_cast: Cast) -> None:
    first = make(committed_cast.acme, committed_cast.alice)
    with tenant_context(committed_cast.acme):
        second = exporting.ask_for_export(committed_cast.alice)
        assert exporting.ask_for_export(committed_cast.bob) == second
        assert Path(first.file.path).exists()

        exporting.make(second.id)

        assert exporting.latest() == second == Export.objects.get()
    assert not Path(first.file.path).exists()


def test_what_could_not_be_made_says_so_and_is_tried_again(committed_cast: Cast, settings: Any) -> None:
    client = signed_in(committed_cast.alice)
    settings.FILE_UPLOAD_TEMP_DIR = "/nowhere"
    make(committed_cast.acme, committed_cast.alice)
    assert "The disk had no room" in client.get(URL).content.decode()

    settings.FILE_UPLOAD_TEMP_DIR = None
    assert "Waiting for a worker" in client.post(f"{URL}export/", headers={"HX-Request": "true"}).content.decode()
    with tenant_context(committed_cast.acme):
        exporting.make(Export.objects.get(status=Export.Status.QUEUED).id)
        assert exporting.latest().is_ready


def test_an_export_of_a_killed_worker_can_be_taken_up(committed_cast: Cast, capsys: Any) -> None:
    with tenant_context(committed_cast.acme):
        export = exporting.ask_for_export(committed_cast.alice)
        long_ago = timezone.now() - timedelta(minutes=3)
        Export.objects.update(status=Export.Status.RUNNING, done=3, total=9, progressed_at=long_ago)
    celery.control.purge()
    assert "Nothing has happened for a while, at 3 of 9" in signed_in(committed_cast.alice).get(URL).content.decode()

    call_command("finish_leaving")

    assert "1 unfinished exports are queued again." in capsys.readouterr().out
    with tenant_context(committed_cast.acme):
        exporting.make(export.id)
        assert exporting.latest().is_ready


def test_an_attempt_that_was_superseded_leaves_nothing(committed_cast: Cast, media: Path) -> None:
    fill(committed_cast.acme, runs=20_000)
    with tenant_context(committed_cast.acme):
        export = exporting.ask_for_export(committed_cast.alice)
        writing = in_background(committed_cast.acme, lambda: exporting.make(export.id))
        wait_until(lambda: Export.objects.get(pk=export.pk).total > 0)
        Export.objects.all().delete()
        writing.join()

    assert [path for path in media.rglob("*") if path.is_file()] == []


def test_an_archive_is_gone_after_a_week(committed_cast: Cast, capsys: Any) -> None:
    export = make(committed_cast.acme, committed_cast.alice)
    with tenant_context(committed_cast.acme):
        Export.objects.update(expires_at=timezone.now())
    client = signed_in(committed_cast.alice)
    assert client.get(f"{URL}export/{export.id}/").status_code == 404
    assert "Prepare an export" in client.get(URL).content.decode()

    call_command("finish_leaving")
    delete_expired_exports.apply(headers={HEADER: str(committed_cast.acme.id)})

    assert "1 workspaces have expired exports" in capsys.readouterr().out
    assert not Path(export.file.path).exists()
    with tenant_context(committed_cast.acme):
        assert not Export.objects.exists()
