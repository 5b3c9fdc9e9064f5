"""The plan file is read strictly: what is wrong, where, and what to do."""

from decimal import Decimal
from pathlib import Path

import pytest

from apps.billing import plan_files
from apps.billing.plan_files import BadPlanFile, UnknownPlan

GOOD = (plan_files.FOLDER / "2026-11.yaml").read_text()


def test_ours_is_read_to_the_cent() -> None:
    plans = plan_files.newest()

    assert list(plans) == ["free", "pro", "enterprise"]
    assert plans["pro"].bills and plans["pro"].bills.markup == Decimal("1.20")
    assert plans["enterprise"].seats.most is None and plans["enterprise"].limits.documents is None


@pytest.mark.parametrize(
    ("was", "now", "says"),
    [
        ("price_usd: 24", "price_usd: 24.001", "price_usd: is '24.001'. Write an amount"),
        ("price_usd: 24", "prize_usd: 24", "prize_usd: is no entry of pro"),
        ("  trial_days: 14\n", "", "pro: has no trial_days"),
        ("trial_days: 14", "trial_days: soon", "trial_days: is 'soon'. Write a whole number from 0"),
        ("features: [custom_domains, own_keys]\n", "features: [teleport]\n", "'teleport' is no feature"),
        ("features: [custom_domains, own_keys]\n", "features: yes\n", "features: is no list"),
        ("highest_tier: standard", "highest_tier: best", "Write one of cheap, standard, strong"),
        ("{included: 1, most: 100}", "{included: 9, most: 3}", "most: is less than the 9"),
        ("unit: usd, markup: 1.20", "unit: usd, price_usd_per_million: 3", "is no entry of bills"),
        ("unit: usd, markup: 1.20", "unit: words, markup: 1", "Write one of usd, tokens, runs"),
        ("free:", "gratis:", "has no plan free"),
        ("price_usd: 0", "price_usd: 1", "lets the plan free cost something"),
        ("pro:", "free:", "free stands there twice"),
        ("  label: Pro", "  label: Pro\n label: x", "is no YAML"),
    ],
)
def test_a_fault_is_named_with_its_line(tmp_path: Path, was: str, now: str, says: str) -> None:
    path = tmp_path / "2027-01.yaml"
    path.write_text(GOOD.replace(was, now, 1))

    with pytest.raises(BadPlanFile) as caught:
        plan_files.read(path)

    assert says in str(caught.value) and str(caught.value).startswith("2027-01.yaml:")


def test_the_line_is_the_right_one(tmp_path: Path) -> None:
    path = tmp_path / "2027-01.yaml"
    path.write_text("free:\n  label: Free\n  label: Again\n")

    with pytest.raises(BadPlanFile, match=r"^2027-01.yaml:3: label stands there twice"):
        plan_files.read(path)


def test_old_customers_keep_old_terms(tmp_path: Path) -> None:
    for name, price in (("2026-11", 24), ("2027-03", 30)):
        (tmp_path / f"{name}.yaml").write_text(GOOD.replace("price_usd: 24", f"price_usd: {price}"))

    assert plan_files.newest(tmp_path)["pro"].price_usd == 30
    assert plan_files.find("pro", "2026-11", tmp_path).price_usd == 24
    with pytest.raises(UnknownPlan, match="Put it back"):
        plan_files.find("pro", "2025-01", tmp_path)


def test_a_file_is_named_after_a_month(tmp_path: Path) -> None:
    (tmp_path / "plans.yaml").write_text(GOOD)

    with pytest.raises(BadPlanFile, match="Name it like"):
        plan_files.generations(tmp_path)
