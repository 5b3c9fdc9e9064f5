"""Thumbs and comments: only who asked gives them, the run's rating follows, and taking them back leaves nothing."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from apps.chat.models import Feedback, Message
from apps.runs.models import CachedAnswer, Run
from apps.tenants import api_keys
from apps.tenants.context import tenant_context, user_context
from apps.tenants.models import Membership, Tenant, User
from tests.conftest import Cast, signed_in

from .rated import answered

pytestmark = pytest.mark.pool_and_silo


def path(message: Message, slug: str = "acme") -> str:
    return f"/t/{slug}/chat/messages/{message.pk}/feedback/"


def stored(tenant: Tenant) -> list[tuple[Any, ...]]:
    with tenant_context(tenant):
        return list(Feedback.objects.values_list("rating", "reason", "comment", "run__rating"))


def test_a_thumb_is_given_changed_and_taken_back_and_the_run_follows(cast: Cast) -> None:
    message = answered(cast.acme, cast.alice)
    client = signed_in(cast.alice)

    down = client.post(path(message), {"rating": "-1", "reason": "outdated", "comment": "It is 30 days by now."})
    given = stored(cast.acme)
    page = client.get(f"/t/acme/chat/{message.conversation_id}/").content.decode()
    client.post(path(message), {"rating": "1", "reason": "outdated", "comment": ""})
    changed = stored(cast.acme)
    client.post(path(message), {"rating": "", "reason": "", "comment": ""})

    assert down.status_code == 204
    assert given == [(-1, "outdated", "It is 30 days by now.", -1)]
    assert 'data-saved="-1"' in page and "It is 30 days by now." in page
    assert changed == [(1, "", "", 1)]
    assert stored(cast.acme) == []
    with tenant_context(cast.acme):
        assert Run.objects.get().rating is None


def test_only_who_asked_rates_an_answer_a_viewer_too(cast: Cast) -> None:
    with tenant_context(cast.acme):
        Membership.objects.filter(user=cast.bob).update(role=Membership.Role.VIEWER)
    alices, bobs = answered(cast.acme, cast.alice), answered(cast.acme, cast.bob)

    statuses = [
        signed_in(user).post(path(message, slug), {"rating": "1"}).status_code
        for user, message, slug in (
            (cast.bob, alices, "acme"),
            (cast.alice, bobs, "acme"),
            (cast.charlie, alices, "acme"),
            (cast.charlie, alices, "globex"),
            (cast.bob, bobs, "acme"),
        )
    ]

    assert statuses == [404, 404, 404, 404, 204]
    assert stored(cast.acme) == [(1, "", "", 1)]
    assert Client().post(path(bobs), {"rating": "-1"}).status_code == 302


@pytest.mark.parametrize(
    "form", [{"rating": "2"}, {"rating": "1", "reason": "rude"}, {"rating": "1", "comment": "x" * 2_001}]
)
def test_what_is_no_feedback_changes_nothing(cast: Cast, form: dict[str, str]) -> None:
    message = answered(cast.acme, cast.alice)
    signed_in(cast.alice).post(path(message), {"rating": "1"})

    response = signed_in(cast.alice).post(path(message), form)

    assert response.status_code == 400
    assert stored(cast.acme) == [(1, "", "", 1)]


@pytest.mark.parametrize("status", ["streaming", "failed"])
def test_what_is_not_finished_can_not_be_rated(cast: Cast, status: str) -> None:
    message = answered(cast.acme, cast.alice, status=status)

    assert signed_in(cast.alice).post(path(message), {"rating": "1"}).status_code == 404


def test_a_deleted_conversation_takes_its_feedback_along(cast: Cast) -> None:
    message = answered(cast.acme, cast.alice)
    client = signed_in(cast.alice)
    client.post(path(message), {"rating": "-1", "comment": "Wrong."})

    client.post(f"/t/acme/chat/{message.conversation_id}/delete/")

    assert stored(cast.acme) == []
    with tenant_context(cast.acme):
        assert Run.objects.get().rating == -1  # a number, of which nothing can be read


def test_an_answer_rated_down_is_not_given_again(cast: Cast) -> None:
    message = answered(cast.acme, cast.alice)
    later = timezone.now() + timedelta(days=1)
    kept = {"scope": "s", "question": "How many days?", "embedding": [0.1] * 384, "answer": "28 days."}
    with tenant_context(cast.acme):
        CachedAnswer.objects.create(**kept, run=message.run, expires_at=later)
        again = Run.objects.create(
            feature="chat",
            status="ok",
            finished_at=timezone.now(),
            provider="p",
            model="m",
            cached_from=message.run,
        )
        Message.objects.filter(pk=message.pk).update(run=again)

    signed_in(cast.alice).post(path(message), {"rating": "-1"})

    with tenant_context(cast.acme):
        assert not CachedAnswer.objects.exists()


def made_by_a_program(tenant: Tenant, user: User) -> tuple[Run, str]:
    """A run, and the token of the key that made it."""
    with tenant_context(tenant), user_context(user):
        key, token = api_keys.make("importer", user)
        ended = {"status": "ok", "finished_at": timezone.now()}
        return Run.objects.create(api_key=key, feature="api", provider="offline", model="m", **ended), token


def tell(token: str, run: Any, said: Any, slug: str = "acme") -> tuple[int, Any]:
    response = Client().post(
        f"/t/{slug}/api/v1/runs/{getattr(run, 'pk', run)}/feedback",
        said,
        content_type="application/json",
        headers={"Authorization": f"Bearer {token}"},
    )
    return response.status_code, response.json()


def test_a_program_tells_what_its_user_thought(committed_cast: Cast) -> None:
    acme, globex = committed_cast.acme, committed_cast.globex
    run, token = made_by_a_program(acme, committed_cast.alice)
    other, others_token = made_by_a_program(acme, committed_cast.alice)
    _, charlies_token = made_by_a_program(globex, committed_cast.charlie)

    status, told = tell(token, run, {"rating": -1, "reason": "wrong", "comment": "It is 30."})

    assert (status, told) == (
        200,
        {"object": "run.feedback", "run": str(run.pk), "rating": -1, "reason": "wrong", "comment": "It is 30."},
    )
    assert stored(acme) == [(-1, "wrong", "It is 30.", -1)]
    for wrong in (others_token, charlies_token):
        assert tell(wrong, run, {"rating": 1})[0] in (401, 404)
    assert tell(charlies_token, run, {"rating": 1}, slug="globex")[0] == 404
    assert tell(token, uuid4(), {"rating": 1})[1]["error"]["code"] == "not_found"
    for said, param in (
        ({}, "rating"),
        ({"rating": 5}, "rating"),
        ({"rating": True}, "rating"),
        ({"rating": -1, "reason": "rude"}, "reason"),
        ({"rating": 1, "stars": 5}, "stars"),
        ({"rating": 1, "comment": ["a"]}, "comment"),
        ("[1", None),
        ("[" * 100_000, None),
        ('{"rating": 1, "comment": "\\ud800"}', None),
    ):
        status, told = tell(token, run, said)
        assert (status, told["error"]["param"]) == (400, param)
    assert stored(acme) == [(-1, "wrong", "It is 30.", -1)]
    assert tell(token, run, {"rating": None})[0] == 200
    assert stored(acme) == []
    assert tell(others_token, other, {"rating": 1})[0] == 200
    assert stored(acme) == [(1, "", "", 1)]
