"""Quality in the settings, as it looks: on a phone and on a desk, in light and in dark."""

import random
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from apps.chat.models import EvalCase, EvalReport
from apps.chat.quality.cases import make
from apps.tenants.context import tenant_context
from apps.tenants.models import Tenant
from tests.chat.rated import answered, read_handbook
from tests.conftest import Cast

from .test_story import WIDTHS, look

Visit = Callable[..., Page]


def plant_reports(tenant: Tenant) -> None:
    chance, today = random.Random(5), timezone.now().date()

    def score(mean: float, spread: float) -> dict[str, float]:
        mean += chance.uniform(-spread, spread) / 2
        return {"n": 120, "mean": mean, "low": mean - spread, "high": min(mean + spread, 1), "values": []}

    for back in range(1, 29):
        fell = back < 4
        versions = {"answer": {"id": "2" if fell else "1", "label": f"answer v{2 if fell else 1}"}}
        money = chance.uniform(0.0018, 0.0024)
        scores = {
            "grounded": score(0.78 if fell else 0.93, 0.03),
            "citation_precision": score(0.95, 0.02),
            "refused": score(0.08, 0.03),
            "thumbs_up": score(0.8, 0.1),
            "cases": score(0.9, 0.05),
            "latency": {"n": 90, "mean": 1.4 + back / 60, "low": 1.2 + back / 60, "high": 1.7 + back / 60},
            "cost": {"n": 90, "mean": money, "low": money * 0.9, "high": money * 1.1},
        }
        drift = [{"metric": "grounded", "before": 0.93, "now": 0.78, "low": -0.2, "high": -0.1}] if back == 1 else []
        about = {"revision": "abc", "prompt_versions": versions, "answers": 340, "sampled": 200, "cases": 12}
        if back != 12:  # a night on which nobody measured
            EvalReport.objects.create(day=today - timedelta(days=back), scores=scores, drift=drift, **about)


@pytest.mark.parametrize("width", WIDTHS)
def test_what_was_thought_and_measured_can_be_looked_at(
    visit: Visit, committed_cast: Cast, settings: object, width: int
) -> None:
    acme = committed_cast.acme
    read_handbook(acme)
    question = "Bob at hr@acme.example says we get 30 days. How many days of paid leave do we get?"
    answer = "Everybody at Acme gets **28 days** of paid leave a year, on top of public holidays [1]. Ask Bob."
    bad = answered(acme, committed_cast.bob, question=question, text=answer, rating=-1, comment="It is 30 since March.")
    answered(acme, committed_cast.alice, question="What may a hotel cost?", text="Up to $140 a night [1].", rating=1)
    with tenant_context(acme):
        plant_reports(acme)
        case = make(bad, by=committed_cast.alice)
        for text in ("How much is paid per kilometre?", "How long is the notice period?"):
            EvalCase.objects.create(
                question=text, contains=["four weeks"], state="approved", made_by=committed_cast.alice
            )

    page = visit(committed_cast.alice, "/t/acme/settings/quality/", width=width)

    for name, path in (
        ("feedback", ""),
        ("cases", "cases/?state=approved"),
        ("case", f"cases/{case.pk}/"),
        ("trend", "trend/"),
        ("measuring", "measuring/"),
    ):
        page.goto(f"/t/acme/settings/quality/{path}")
        expect(page.get_by_text("Answers have become worse", exact=True)).to_be_visible()
        look(page, f"quality-{name}")
