"""Runs of a process that died are closed; those that may be under way are left alone."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.runs.lost import close_lost
from apps.runs.models import Run
from apps.tenants.context import tenant_context
from tests.conftest import Cast


@pytest.mark.django_db(transaction=True, databases=["default", "platform"])
def test_old_open_runs_of_every_tenant_are_closed_as_lost(committed_cast: Cast) -> None:
    hour_ago = timezone.now() - timedelta(hours=1)
    for tenant in (committed_cast.acme, committed_cast.globex):
        with tenant_context(tenant):
            for feature, began in (("old", hour_ago), ("new", timezone.now())):
                run = Run.objects.create(feature=feature, provider="openai", model="m")
                Run.objects.filter(pk=run.pk).update(created_at=began)

    assert close_lost() == 2

    with tenant_context(committed_cast.acme):
        assert set(Run.objects.values_list("feature", "status", "cost_usd")) == {
            ("old", "lost", None),
            ("new", "running", None),
        }
