"""The operators' page of the queues, and what was given up."""

import pytest
import redis
from django.test import Client

from apps.tenants.context import tenant_context
from apps.tenants.models import DeadLetter, User
from apps.tenants.queue_weight import change
from config.fair.line import Line
from config.fair.scripts import NOBODY
from tests.conftest import Cast, signed_in
from tests.waiting import messages

pytestmark = pytest.mark.django_db(databases=["default", "platform"])
PAGE = "/platform/queues/"
LETTERS = "/platform/tenants/deadletter/"
OWN = "/t/acme/admin/tenants/deadletter/"


@pytest.fixture
def operator(committed_cast: Cast) -> Client:
    return signed_in(User.objects.create_superuser("operator@corbel.example"))


def text(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_who_waits_who_was_served_and_who_works(operator: Client, committed_cast: Cast, line: Line) -> None:
    acme, globex = str(committed_cast.acme.pk), str(committed_cast.globex.pk)
    change(committed_cast.globex, 2.5)
    for number in range(3):
        line.put("ingest", f"a{number}", acme, "work", "", "", "body")
    line.put("ingest", "g", globex, "work", "", "", "body")
    line.put("system", "n", NOBODY, "work", "", "", "body")
    line.tick("host:1:abc", '{"queues": ["ingest", "system"], "since": 0}', 20_000, "ingest", "system")
    tag = line.take("ingest", "host:1:abc", "", "")[0].decode()
    line.acknowledge("host:1:abc", tag)

    page = text(operator, PAGE)

    assert "host:1" in page and "ingest, system" in page
    assert "No worker serves interactive, batch." in page
    assert "Waiting: Acme 67 %, Globex 33 %" in page
    assert "> 2.5 <" in page and "the platform" in page


def test_an_empty_queue_and_one_that_is_away_say_so(operator: Client, server: redis.Redis, settings: object) -> None:
    assert "None has said so lately" in text(operator, PAGE)

    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert "Redis doesn’t answer" in text(operator, PAGE)


def test_only_operators_see_the_queues(committed_cast: Cast) -> None:
    for client in (Client(), signed_in(committed_cast.alice), signed_in(committed_cast.charlie)):
        assert client.get(PAGE).status_code == 302


def letter(cast: Cast, tenant: object | None, task_id: str, args: list | None = None) -> None:
    DeadLetter.unscoped.using("platform").create(
        tenant=tenant,
        task="apps.knowledge.tasks.ingest_document",
        task_id=task_id,
        queue="ingest",
        args=args,
        error_class="OperationalError",
        error_message=f"away for {task_id}",
        first_at="2026-01-01T00:00Z",
        last_at="2026-01-01T01:00Z",
    )


def test_what_was_given_up_is_seen_by_whose_it_is_and_tried_again(
    operator: Client, committed_cast: Cast, server: redis.Redis
) -> None:
    document = str(committed_cast.acme.pk)
    letter(committed_cast, committed_cast.acme, "acmes", [document])
    letter(committed_cast, committed_cast.globex, "globexs", [document])
    letter(committed_cast, None, "nobodys")
    alice = signed_in(committed_cast.alice)

    own = text(alice, OWN)
    assert "away for acmes" in own and "globexs" not in own and "nobodys" not in own
    assert signed_in(committed_cast.charlie).get(OWN).status_code == 404
    everybodys = text(operator, LETTERS)
    assert all(name in everybodys for name in ("acmes", "globexs", "nobodys"))
    with tenant_context(committed_cast.acme):
        keys = [str(DeadLetter.objects.get().pk)]

    answer = alice.post(OWN, {"action": "try_again", "_selected_action": keys}, follow=True)
    assert "1 task is queued again." in answer.content.decode()
    (message,) = messages()
    assert (message["headers"]["id"], message["headers"]["tenant_id"]) == ("acmes", document)
    assert message["properties"]["delivery_info"]["routing_key"] == "ingest"
    nobodys = [str(DeadLetter.unscoped.using("platform").get(task_id="nobodys").pk)]
    answer = operator.post(LETTERS, {"action": "try_again", "_selected_action": nobodys}, follow=True)
    assert "1 can’t be tried again from here" in answer.content.decode()
    assert DeadLetter.unscoped.using("platform").count() == 2


def test_one_workspace_cannot_try_anothers(committed_cast: Cast, server: redis.Redis) -> None:
    letter(committed_cast, committed_cast.acme, "acmes", [str(committed_cast.acme.pk)])
    key = str(DeadLetter.unscoped.using("platform").get().pk)

    signed_in(committed_cast.charlie).post(
        "/t/globex/admin/tenants/deadletter/", {"action": "try_again", "_selected_action": [key]}
    )

    assert messages() == []
    assert DeadLetter.unscoped.using("platform").count() == 1
