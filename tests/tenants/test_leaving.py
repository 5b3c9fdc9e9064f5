"""Deleting a workspace: it is shut at once, and then nothing of it is anywhere, and all of the others is."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery.exceptions import Retry
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.management import CommandError, call_command
from django.db import connection

from apps.knowledge.add import store
from apps.knowledge.tasks import ingest_document
from apps.runs.models import Run
from apps.tenants import exporting, leaving, traces
from apps.tenants.context import tenant_context
from apps.tenants.leaving import NotLeaving, erase, leave
from apps.tenants.models import Export, Tenant, User
from apps.tenants.tasks import erase_workspace
from apps.tenants.threads import in_thread
from config.celery import HEADER, TenantClosed
from config.celery import app as celery
from tests.chat.test_socket import ACME as ACME_SOCKET
from tests.chat.test_socket import begin_story
from tests.conftest import ROOT, Cast, admin
from tests.gateway.stub import Stub
from tests.waiting import messages

from .belongings import MINE, THEIRS, fill, forget_all, in_background, places, queued, status, wait_until
from .silos import move

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "platform"])
GLOBEX_SOCKET = "/t/globex/ws/chat/"
# Where `plant` puts the marker, in a pooled tenant.
EVERYWHERE = {
    *(
        f"public.chat_{table}"
        for table in ("citation", "conversation", "evalcase", "evalreport", "feedback", "message")
    ),
    *(f"public.{table}" for table in ("knowledge_chunk", "knowledge_document", "runs_run", "django_admin_log")),
    *(f"public.prompts_{table}" for table in ("experiment", "prompt", "promptversion")),
    *(f"public.runs_{table}" for table in ("alert", "budget", "cachedanswer", "modelroute", "spend")),
    *(f"public.tenants_{table}" for table in ("auditevent", "deadletter", "domain", "effect", "invitation", "tenant")),
    *(f"public.runs_{table}" for table in ("batch", "batchresult", "batchrow", "batchstep")),
    *(f"public.runs_{table}" for table in ("providerbatch", "providerline")),
    *(f"public.tenants_{table}" for table in ("apikey", "flag", "providerkey")),
    *("redis queue:message", "file .md", "file .zip"),
    *(f"public.billing_{table}" for table in ("meterevent", "planperiod", "subscription")),
}


@pytest.fixture(autouse=True)
def queue(transactional_db: None, media: Path) -> Iterator[None]:
    """A real broker that no worker listens to, and no keys of other tests."""
    forget_all()
    yield
    forget_all()


# --- Nothing stays


@pytest.mark.parametrize("home", ["pool", "silo"])
def test_nothing_of_it_is_left_anywhere_and_everything_of_the_others(planted: Cast, home: str) -> None:
    if home == "silo":
        move("promote")
        assert places(MINE) != places(THEIRS)
    else:
        assert places(MINE) - keys_of(planted.acme) == EVERYWHERE
    theirs = places(THEIRS)
    assert theirs - keys_of(planted.globex) == EVERYWHERE
    assert len(keys_of(planted.globex) & theirs) == 2

    leave(planted.acme)
    erase_workspace.apply(args=[str(planted.acme.id)], throw=True)

    assert places(MINE) == set()
    assert places(THEIRS) == theirs
    celery.control.purge()  # the removal itself, which no worker has taken here
    assert places(str(planted.acme.id)) == places(planted.acme.id.hex) == set()
    assert User.objects.filter(email="alice@acme.example").exists()


def keys_of(tenant: Tenant) -> set[str]:
    """The names of the keys with the tenant's id in them."""
    with redis.Redis.from_url(settings.REDIS_URL) as server:
        return {f"redis {name.decode()}" for name in server.scan_iter(f"*{tenant.id}*")}


@pytest.mark.parametrize("moment", ["files are gone", "rows are going", "silo is gone"])
def test_killed_in_the_middle_it_is_finished_later(planted: Cast, media: Path, moment: str) -> None:
    fill(planted.acme, runs=40_000)
    if moment == "silo is gone":
        move("promote")
    theirs = places(THEIRS)
    folder = media / str(planted.acme.id)
    with admin() as superuser:

        def are_rows_going() -> bool:
            query = "SELECT count(*) < 40001 FROM runs_run WHERE tenant_id = %s"
            return superuser.execute(query, [planted.acme.id]).fetchone()[0]

        def is_silo_gone() -> bool:
            return superuser.execute("SELECT to_regnamespace(%s) IS NULL", [f"t_{planted.acme.id.hex}"]).fetchone()[0]

        it_is_so = {
            "files are gone": lambda: not folder.exists(),
            "rows are going": are_rows_going,
            "silo is gone": is_silo_gone,
        }
        eraser = subprocess.Popen(
            [sys.executable, ROOT / "manage.py", "erase_workspace", "acme", "--yes"],
            env={**os.environ, "MEDIA_ROOT": str(media)},
        )
        try:
            wait_until(it_is_so[moment])
        finally:
            eraser.kill()
        assert eraser.wait() == -signal.SIGKILL
    assert status(planted.acme) == "leaving"
    celery.control.purge()  # and the queue has forgotten it too

    call_command("finish_leaving")
    erase_workspace.apply(args=queued()["apps.tenants.tasks.erase_workspace"], throw=True)

    celery.control.purge()
    assert places(MINE) == places(str(planted.acme.id)) == set()
    assert places(THEIRS) == theirs - {"redis queue:message"}


def test_what_was_left_behind_by_one_that_is_gone_is_removed(planted: Cast, media: Path) -> None:
    """As when the process is killed between the workspace's row and what was written beside it meanwhile."""
    leave(planted.acme)
    erase(planted.acme.id)
    late = media / str(planted.acme.id) / "late"
    late.mkdir(parents=True)
    (late / "original.md").write_text(MINE)
    with redis.Redis.from_url(settings.REDIS_URL) as server:
        server.set(f"tenant:{planted.acme.id}:late", MINE)

    erase_workspace.apply(args=[str(planted.acme.id)], throw=True)

    assert places(MINE) == set()


def test_only_one_that_is_leaving_is_erased(planted: Cast) -> None:
    with pytest.raises(NotLeaving):
        erase(planted.acme.id)

    assert places(MINE) - keys_of(planted.acme) == EVERYWHERE


def test_a_database_that_is_away_is_waited_for(committed_cast: Cast) -> None:
    leave(committed_cast.acme)
    parameters = dict(connection.settings_dict)
    connection.close()
    connection.close_pool()
    connection.settings_dict.update(HOST="127.0.0.1", PORT="1", OPTIONS={})
    try:
        with pytest.raises(Retry, match="connection"):
            erase_workspace.apply(args=[str(committed_cast.acme.id)], throw=True)
    finally:
        connection.close()
        connection.settings_dict.update(parameters)


# --- Work under way


async def test_replies_stop_and_sockets_close_and_the_others_go_on(
    handbooks: Cast, socket: Any, slow_model: Stub
) -> None:
    alice, charlie = await socket(handbooks.alice, ACME_SOCKET), await socket(handbooks.charlie, GLOBEX_SOCKET)
    await begin_story(alice)
    await begin_story(charlie)

    await in_thread(leave, handbooks.acme)
    await in_thread(erase, handbooks.acme.id)

    assert slow_model.calls[0].was_hung_up.is_set() and not slow_model.calls[1].was_hung_up.is_set()
    while (event := await alice.receive_output(timeout=10))["type"] != "websocket.close":
        pass
    assert event["code"] == 4403
    assert await asyncio.to_thread(places, str(handbooks.acme.id)) <= {
        "redis queue:message"
    }  # the removal's own message
    with tenant_context(handbooks.globex):
        assert (await in_thread(Run.objects.get, kind="completion")).status == "running"


def test_an_export_under_way_ends(committed_cast: Cast, media: Path) -> None:
    fill(committed_cast.acme, runs=20_000)
    with tenant_context(committed_cast.acme):
        export = exporting.ask_for_export(committed_cast.alice)
        writing = in_background(committed_cast.acme, lambda: exporting.make(export.id))
        wait_until(lambda: Export.objects.get(pk=export.pk).total > 0)

    leave(committed_cast.acme)
    erase(committed_cast.acme.id)
    writing.join()

    assert [path for path in media.rglob("*") if path.is_file()] == []
    assert status(committed_cast.acme) is None


def test_tasks_that_wait_are_forgotten_and_the_others_stay(committed_cast: Cast) -> None:
    for tenant in (committed_cast.acme, committed_cast.globex):
        with tenant_context(tenant):
            for number in range(1_100):
                ingest_document.delay(f"{tenant.slug} {number}")
    held = hold_one()

    traces.unqueue(committed_cast.acme.id)

    left = messages()
    assert str(committed_cast.acme.id) not in str(left)
    assert len(left) == 1_100
    held.release()


def hold_one() -> Any:
    """A worker's connection that has taken the first task, and doesn't say that it is done."""
    connection = celery.connection_for_read()
    connection.SimpleQueue("ingest").get(block=False)
    return connection


def test_a_task_of_one_that_is_leaving_is_refused(committed_cast: Cast, media: Path) -> None:
    leave(committed_cast.acme)

    done = ingest_document.apply(args=["x"], headers={HEADER: str(committed_cast.acme.id)})

    assert isinstance(done.result, TenantClosed)


def test_an_upload_that_was_let_in_just_before_leaves_no_file(committed_cast: Cast, media: Path) -> None:
    leave(committed_cast.acme)
    erase(committed_cast.acme.id)

    with tenant_context(committed_cast.acme):
        store(ContentFile(b"Some text.", name=f"{MINE}.txt"), user=None)

    assert [path for path in media.rglob("*") if path.is_file()] == []
    assert places(MINE) == set()


# --- The command


def test_an_operator_does_the_same(planted: Cast, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = places(THEIRS)
    monkeypatch.setattr("builtins.input", lambda question: "globex")
    with pytest.raises(CommandError, match="That is not its address"):
        call_command("erase_workspace", "acme")
    assert status(planted.acme) == "active"
    with pytest.raises(CommandError, match="There is no workspace at /t/nobody/"):
        call_command("erase_workspace", "nobody")

    call_command("erase_workspace", "acme", yes=True)

    assert capsys.readouterr().out == f"Name {MINE} is deleted.\n"
    assert (places(MINE), places(THEIRS)) == (set(), theirs)


def test_every_table_of_tenants_is_emptied_children_first(committed_cast: Cast) -> None:
    with tenant_context(committed_cast.acme):
        order = leaving.tables()
    with admin() as superuser:
        owned = superuser.execute(
            "SELECT table_name FROM information_schema.columns"
            " WHERE column_name = 'tenant_id' AND table_schema = 'public'"
        ).fetchall()

    assert set(order) == {name for (name,) in owned} - {"tenants_auditevent"}
    assert order.index("chat_citation") < order.index("chat_message") < order.index("runs_run")
    assert order.index("runs_run") < order.index("prompts_promptversion")
