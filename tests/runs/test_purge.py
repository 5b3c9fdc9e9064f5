"""An operator forgets cached answers, and a clock those that expired long ago."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from apps.runs.models import CachedAnswer
from apps.tenants.context import tenant_context
from apps.tenants.models import Tenant
from tests.conftest import Cast

from .test_answers import keep

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "platform"])


def test_the_command_forgets_of_one_workspace_of_all_and_what_expired(committed_cast: Cast) -> None:
    def kept(tenant: Tenant) -> int:
        with tenant_context(tenant):
            return CachedAnswer.objects.count()

    def fill() -> None:
        for tenant in (committed_cast.acme, committed_cast.globex):
            with tenant_context(tenant):
                keep()

    fill()
    call_command("purge_answers", workspace="acme", stdout=StringIO())
    assert (kept(committed_cast.acme), kept(committed_cast.globex)) == (0, 1)

    with tenant_context(committed_cast.globex):
        CachedAnswer.objects.update(expires_at=timezone.now() - timedelta(days=6))
        call_command("purge_answers", expired=True, stdout=StringIO())
        assert CachedAnswer.objects.count() == 1
        CachedAnswer.objects.update(expires_at=timezone.now() - timedelta(days=8))
    call_command("purge_answers", expired=True, stdout=StringIO())
    assert kept(committed_cast.globex) == 0

    fill()
    call_command("purge_answers", stdout=StringIO())
    assert (kept(committed_cast.acme), kept(committed_cast.globex)) == (0, 0)
    with pytest.raises(CommandError, match="There is no workspace at /t/nowhere/"):
        call_command("purge_answers", workspace="nowhere")
