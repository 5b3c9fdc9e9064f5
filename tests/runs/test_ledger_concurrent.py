"""Eight processes, one set of hard budgets: nothing is overspent, nothing stays reserved, and the sums are exact."""

import pytest

from apps.runs.models import Run
from apps.tenants.context import tenant_context
from tests.conftest import Cast

from .budgeting import budget
from .crowd import differences, exceeded, spend_at_once

CALLS, PROCESSES = 2_000, 8


@pytest.mark.django_db(transaction=True)
def test_many_processes_never_overspend(committed_cast: Cast) -> None:
    with tenant_context(committed_cast.acme):
        budget("20")
        budget("12", "user")
        budget("9", "feature", "chat")

        outcome = spend_at_once(CALLS, PROCESSES, [committed_cast.alice, committed_cast.bob])

        assert outcome.over == [] and list(exceeded()) == []
        assert outcome.looks > 10
        assert sum(outcome.counts.values()) == CALLS == Run.objects.count()
        assert outcome.counts["let in"] > 300 and outcome.counts["budget_spent"] > 300
        assert not Run.objects.filter(status="running").exists()
        assert differences() == []
