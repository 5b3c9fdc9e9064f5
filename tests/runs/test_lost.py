"""What a process that died left behind is taken up: open runs, alerts that nobody mailed."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core import mail
from django.core.management import call_command
from django.utils import timezone

from apps.runs import ledger
from apps.runs.lost import close_lost, queue_unsent
from apps.runs.models import Alert, Run
from apps.runs.tasks import sweep_runs
from apps.tenants.context import tenant_context
from config.celery import app as celery
from tests.conftest import Cast

from .budgeting import begin, budget, counter, finish, queued, spend, usd

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "platform"])
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def empty_queue() -> None:
    celery.control.purge()


def age(run: Run) -> None:
    Run.objects.filter(pk=run.pk).update(created_at=timezone.now() - HOUR)


def test_old_open_runs_of_every_tenant_are_closed_at_their_reservation(committed_cast: Cast) -> None:
    for tenant in (committed_cast.acme, committed_cast.globex):
        with tenant_context(tenant):
            age(begin("0.75", feature="old"))
            begin("0.25", feature="new")

    assert close_lost() == 2

    with tenant_context(committed_cast.acme):
        assert set(Run.objects.values_list("feature", "status", "error_code", "cost_usd")) == {
            ("old", "lost", "lost", usd("0.75")),
            ("new", "running", "", None),
        }
        assert (counter().day_usd, counter().day_reserved_usd) == (usd("0.75"), usd("0.25"))
        lost = Run.objects.get(status="lost")
        assert ledger.close_lost(lost.tenant_id, lost.pk) == (False, ())
        assert counter().day_usd == usd("0.75")
    assert close_lost() == 0


def test_a_late_end_takes_the_place_of_the_guess(committed_cast: Cast) -> None:
    with tenant_context(committed_cast.acme):
        run = begin("0.75", tokens=500)
        age(run)
        close_lost()
        assert (counter().month_usd, counter().day_tokens) == (usd("0.75"), 500)

        finish(run, "0.10", tokens=40)

        assert Run.objects.values_list("status", "cost_usd").get() == ("ok", usd("0.10"))
        assert (counter().month_usd, counter().day_tokens) == (usd("0.10"), 40)
        assert close_lost(timedelta(0)) == 0


def test_what_is_lost_can_use_a_budget_up(committed_cast: Cast) -> None:
    with tenant_context(committed_cast.acme):
        budget(1)
        age(begin("0.9"))

    close_lost()

    with tenant_context(committed_cast.acme):
        assert sorted(Alert.objects.values_list("percent", flat=True)) == [50, 80]
    assert queued() == [("mail_alerts", str(committed_cast.acme.pk))]


def test_alerts_whose_process_died_are_queued_again(committed_cast: Cast) -> None:
    for tenant in (committed_cast.acme, committed_cast.globex):
        with tenant_context(tenant):
            budget(1)
            spend("0.6")  # and nobody calls alerts.send
    with tenant_context(committed_cast.globex):
        Alert.objects.update(created_at=timezone.now() - HOUR)

    assert queue_unsent() == 1
    assert queued() == [("mail_alerts", str(committed_cast.globex.pk))]
    assert mail.outbox == []


def test_the_command_does_both(committed_cast: Cast) -> None:
    with tenant_context(committed_cast.acme):
        budget(1)
        spend("0.6")
        begin("0.1")
    said = StringIO()

    call_command("close_lost_runs", all=True, stdout=said)

    assert said.getvalue() == (
        "1 runs were lost.\n1 workspaces have alerts that were not mailed; they are queued again.\n"
    )


def test_a_worker_sweeps_for_everybody(committed_cast: Cast) -> None:
    with tenant_context(committed_cast.acme):
        run = begin("0.75")
        age(run)

    sweep_runs.apply(throw=True)

    with tenant_context(committed_cast.acme):
        assert Run.objects.get(pk=run.pk).status == "lost"
