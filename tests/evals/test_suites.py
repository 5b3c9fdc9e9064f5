"""Suites are read strictly; the shipped ones hold on the demo that `make run` seeds."""

from pathlib import Path

import pytest
from django.core.management import call_command

from apps.knowledge.models import Document
from apps.tenants.context import tenant_context
from apps.tenants.models import Membership
from apps.tenants.platform import find_workspace
from evals.run import run_cases, shares
from evals.suite import BadSuite, read
from tests.conftest import ROOT

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "platform"])


@pytest.fixture
def demo(transactional_db: None, media: Path) -> None:
    call_command("seed", verbosity=0)


def test_the_demo_has_its_workspaces_people_and_documents_and_seeding_again_adds_nothing(demo: None) -> None:
    call_command("seed", verbosity=0)

    found = {}
    for tenant in (find_workspace("acme"), find_workspace("globex")):
        with tenant_context(tenant):
            people = Membership.objects.select_related("user").order_by("role")
            found[tenant.slug] = (
                [(each.user.name, each.role) for each in people],
                Document.objects.filter(status="ready").count(),
            )
    assert found == {
        "acme": ([("Bob", "member"), ("Alice", "owner")], 3),
        "globex": ([("Charlie", "owner")], 3),
    }


async def test_the_demos_handbooks_are_answered_above_the_floors(demo: None) -> None:
    suite = read(ROOT / "evals/suites/handbooks.yaml")

    measured = shares(await run_cases(suite))

    assert {name: share for name, share in measured.items() if share < suite.floors[name]} == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cases: [", "the file: is not YAML"),
        ("description: nothing", "the file: has no list of cases"),
        ("floors: {speed: 1}\ncases: []", "floors: ['speed'] is not measured"),
        ("cases: [{workspace: acme, question: q, shouts: true}]", "case 1: can't be read"),
    ],
)
def test_a_bad_suite_names_the_place_and_the_mend(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)

    with pytest.raises(BadSuite) as raised:
        read(path)

    assert says in str(raised.value) and str(path) in str(raised.value)
