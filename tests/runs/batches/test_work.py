"""A batch's rows are answered, each once, and what stops them is said."""

import pytest

from apps.runs.batches import control
from apps.runs.models import Batch
from tests.conftest import Cast
from tests.runs.crowd import differences

from .rows import RowStub, answers, draft, runs, statuses, work_off

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "platform"])


def test_every_row_is_asked_once(acme: Cast, stub: RowStub) -> None:
    batch = draft(acme.alice, 40)
    control.start(batch)

    work_off(batch)

    assert batch.status == Batch.Status.DONE and batch.finished_at is not None
    assert answers(batch) == {number: [f"re: Say n{number}."] for number in range(1, 41)}
    assert runs(batch) == {"ok": 40} and set(stub.asked.values()) == {1}
    assert differences() == []
