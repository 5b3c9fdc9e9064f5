"""Owners and admins are told of 50, 80 and 100 %, once each; a person of their own budget as well."""

import threading
from datetime import UTC, datetime
from smtplib import SMTPServerDisconnected
from typing import Any

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.db import connection
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from apps.runs import alerts
from apps.runs.alerts import mail_unsent
from apps.runs.models import Alert
from apps.runs.tasks import mail_alerts
from apps.tenants.context import tenant_context
from apps.tenants.models import Membership, User
from config.celery import HEADER
from config.celery import app as celery
from tests.conftest import PASSWORD, Cast

from .budgeting import begin, budget, queued, spend

MONTH = f"{timezone.now():%B %Y}"


def mails() -> list[tuple[list[str], str]]:
    return [(message.to, message.subject) for message in mail.outbox]


@pytest.fixture
def admin(cast: Cast) -> User:
    user = User.objects.create_user("admin@acme.example", PASSWORD)
    with tenant_context(cast.acme):
        Membership.objects.create(user=user, role=Membership.Role.ADMIN)
    return user


def test_each_threshold_is_mailed_once(cast: Cast, admin: User) -> None:
    to = ["admin@acme.example", "alice@acme.example"]
    with tenant_context(cast.acme):
        budget(10)
        for cost in ("4.99", "0.01", "2.90", "0.20", "1.90", "0"):
            spend(cost)
            mail_unsent()
        mail_unsent()

        assert mails() == [
            (to, f"50 % of the workspace’s budget for {MONTH} is spent: Acme on Corbel"),
            (to, f"80 % of the workspace’s budget for {MONTH} is spent: Acme on Corbel"),
            (to, f"The workspace’s budget for {MONTH} is used up: Acme on Corbel"),
        ]
        assert Alert.objects.filter(sent_at=None).count() == 0


def test_the_soft_limit_is_a_threshold_too(cast: Cast) -> None:
    with tenant_context(cast.acme):
        budget(10, soft_percent=65)
        for cost in ("6.49", "0.01", "1.40"):
            spend(cost)

        assert sorted(Alert.objects.values_list("percent", flat=True)) == [50, 65]


def test_what_a_mail_says(cast: Cast, settings: Any) -> None:
    settings.PUBLIC_URL = "https://corbel.example"
    with tenant_context(cast.acme):
        budget(10, soft_action="degrade")
        spend("8.50")
        mail_unsent()

    (message,) = mail.outbox
    today = datetime.now(UTC)
    first = datetime(today.year + today.month // 12, today.month % 12 + 1, 1, tzinfo=UTC)
    assert "$8.50 of $10.00" in message.body
    assert f"Calls take cheap models. It resets on {first:%-d %B %Y} at 00:00 UTC." in message.body
    assert "https://corbel.example/t/acme/settings/budgets/" in message.body
    ((html, kind),) = message.alternatives
    assert kind == "text/html" and "<strong>$8.50</strong>" in html
    assert 'href="https://corbel.example/t/acme/settings/budgets/"' in html


def test_two_thresholds_at_once_make_one_mail(cast: Cast) -> None:
    with tenant_context(cast.acme):
        budget(10)
        spend("10")
        mail_unsent()

        assert mails() == [(["alice@acme.example"], f"The workspace’s budget for {MONTH} is used up: Acme on Corbel")]
        assert Alert.objects.exclude(sent_at=None).count() == 3


def test_a_person_is_told_of_the_own_budget(cast: Cast) -> None:
    with tenant_context(cast.acme):
        budget(10, "user", period="day")
        spend("8", user=cast.bob)
        mail_unsent()

    day = f"{datetime.now(UTC):%-d %B %Y}"
    assert mails() == [
        (["alice@acme.example"], f"80 % of the budget of bob@acme.example for {day} is spent: Acme on Corbel"),
        (["bob@acme.example"], f"80 % of your budget for {day} is spent: Acme on Corbel"),
    ]
    assert "/t/acme/usage/" in mail.outbox[1].body and "settings" not in mail.outbox[1].body


def test_each_subject_has_alerts_of_its_own(cast: Cast) -> None:
    with tenant_context(cast.acme):
        budget(10, "feature")
        spend("8", feature="chat")
        spend("8", feature="search")
        mail_unsent()

    assert sorted(subject for _, subject in mails()) == [
        f"80 % of the budget of the feature chat for {MONTH} is spent: Acme on Corbel",
        f"80 % of the budget of the feature search for {MONTH} is spent: Acme on Corbel",
    ]


def test_a_refused_call_tells_that_there_is_no_room(cast: Cast) -> None:
    with tenant_context(cast.acme):
        budget(10)
        spend("9.5")
        mail_unsent()
        refused = begin("1")
        assert refused.error and len(refused.alerts) == 1
        mail_unsent()

    assert mails()[-1][1] == f"The workspace’s budget for {MONTH} has no room for another call: Acme on Corbel"
    assert "$9.50 of $10.00" in mail.outbox[-1].body


def test_those_who_left_and_other_workspaces_hear_nothing(cast: Cast) -> None:
    with tenant_context(cast.acme):
        budget(10, "user", cast.bob.pk)
        spend("8", user=cast.bob)
        Membership.objects.filter(user=cast.bob).delete()
    with tenant_context(cast.globex):
        assert mail_unsent() == 0
    with tenant_context(cast.acme):
        assert mail_unsent() == 2

    assert [to for to, _ in mails()] == [["alice@acme.example"]]
    assert "bob@acme.example (no longer a member)" in mail.outbox[0].subject


def test_a_name_makes_no_link_and_no_second_line(cast: Cast) -> None:
    with tenant_context(cast.acme):
        cast.acme.name = "Win at https://evil.example\r\nBcc: everybody@acme.example"
        cast.acme.save()
        budget(1)
        spend("1")
        mail_unsent()

    assert "\n" not in mail.outbox[0].subject and "https://evil" not in mail.outbox[0].subject


class Broken(EmailBackend):
    def send_messages(self, messages: Any) -> int:
        raise SMTPServerDisconnected("gone")


def test_a_mail_that_fails_leaves_the_alert_unsent(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    with tenant_context(cast.acme):
        budget(1)
        spend("0.6")
        with monkeypatch.context() as patch:
            patch.setattr(EmailBackend, "send_messages", Broken.send_messages)
            with pytest.raises(SMTPServerDisconnected):
                mail_unsent()
        assert Alert.objects.filter(sent_at=None).count() == 1

        assert mail_unsent() == 1
        assert len(mail.outbox) == 1


def test_the_task_mails_its_own_tenants_alerts(cast: Cast) -> None:
    for tenant in (cast.acme, cast.globex):
        with tenant_context(tenant):
            budget(1)
            spend("0.6")

    assert mail_alerts.apply(headers={HEADER: str(cast.globex.pk)}).successful()

    assert [to for to, _ in mails()] == [["charlie@globex.example"]]


def test_send_queues_once_it_is_committed(cast: Cast, django_capture_on_commit_callbacks: Any) -> None:
    celery.control.purge()
    with tenant_context(cast.acme), django_capture_on_commit_callbacks() as callbacks:
        alerts.send(())
        alerts.send([cast.acme.pk])
    assert queued() == []

    for callback in callbacks:
        callback()
    assert queued() == [("mail_alerts", str(cast.acme.pk))]


def test_a_queue_that_is_away_breaks_no_call(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise BrokerError("away")

    monkeypatch.setattr(mail_alerts, "delay", away)

    alerts.queue(cast.acme.pk)


def test_two_workers_never_mail_the_same(committed_cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one comes while the first is handing its mail over."""
    is_sending, may_go_on, counts = threading.Event(), threading.Event(), []
    deliver = EmailBackend.send_messages

    def slowly(self: EmailBackend, messages: list[Any]) -> int:
        if messages:
            is_sending.set()
            assert may_go_on.wait(20)
        return deliver(self, messages)

    def work() -> None:
        with tenant_context(committed_cast.acme):
            counts.append(mail_unsent())
        connection.close()

    monkeypatch.setattr(EmailBackend, "send_messages", slowly)
    with tenant_context(committed_cast.acme):
        budget(1)
        spend("0.6")
    first = threading.Thread(target=work)
    first.start()
    assert is_sending.wait(20)
    with tenant_context(committed_cast.acme):
        assert mail_unsent() == 0
    may_go_on.set()
    first.join(20)

    assert counts == [1]
    assert len(mail.outbox) == 1
