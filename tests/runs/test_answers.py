"""Answers are given again to the same question of the same workspace, while all that they depend on is the same."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from django.db import connection
from django.utils import timezone

from apps.runs import answers, chain, configuration, policies
from apps.runs.answers import CacheQuery, find, keep_newest, purge, scope_of, store
from apps.runs.cache_use import cache_use
from apps.runs.models import CachedAnswer, Run
from apps.tenants.context import tenant_context
from tests.conftest import Cast, signed_in

QUESTION = "How many days of paid leave do we get?"
UNIT = np.eye(384, dtype=np.float32)


def near(cosine: float) -> np.ndarray:
    """A unit vector at that cosine from `UNIT[0]`."""
    return np.asarray(cosine * UNIT[0] + np.sqrt(1 - cosine**2) * UNIT[1], dtype=np.float32)


def query(question: str = QUESTION, embedding: np.ndarray = UNIT[0], **fields: Any) -> CacheQuery:
    return CacheQuery(question, embedding, **{"knowledge": "k1", "context": {"chunks": ["c1"]}, **fields})


def answered(**fields: Any) -> Run:
    """A run that ended well, as the caller of a model has it."""
    said = {name: fields.pop(name) for name in ("text", "finish_reason") if name in fields}
    given = {"feature": "chat", "provider": "p", "model": "m", "tier": "standard", "status": Run.Status.OK}
    run = Run.objects.create(**{**given, "finished_at": timezone.now(), "cost_usd": Decimal("0.002"), **fields})
    run.text, run.finish_reason = said.get("text", "28 days [1]."), said.get("finish_reason", "stop")
    return run


def scope(of: CacheQuery, **fields: Any) -> str:
    known = configuration.fresh()
    run = Run(**{"feature": "chat", "tier": "standard", **fields})
    return scope_of(of, run=run, configuration=known, choices=chain.choices(known, "standard"))


def keep(of: CacheQuery | None = None, **fields: Any) -> Run:
    of, run = of or query(), answered(**fields)
    store(of, scope=scope(of), run=run, configuration=configuration.fresh())
    return run


def found(of: CacheQuery | None = None, threshold: float | None = None, **fields: Any) -> CachedAnswer | None:
    of = of or query()
    return find(of, scope=scope(of, **fields), configuration=configuration.fresh(), threshold=threshold)


@pytest.fixture
def acme(cast: Cast) -> Any:
    with tenant_context(cast.acme):
        yield cast


def test_the_same_question_in_other_words_is_given_the_answer_and_what_was_kept_with_it(acme: Cast) -> None:
    run = keep()

    again = found(query("Please tell me how many paid leave days I get", near(0.96)))

    assert again is not None
    assert (again.answer, again.context, again.question) == ("28 days [1].", {"chunks": ["c1"]}, QUESTION)
    assert (again.run_id, again.cost_usd) == (run.id, Decimal("0.002"))
    assert CachedAnswer.objects.get().hits == 1


@pytest.mark.parametrize(
    ("question", "cosine"),
    [
        (QUESTION, 0.94),
        ("How many days of unpaid leave do we get?", 0.99),
        ("How many days of paid leave do we not get?", 0.99),
    ],
)
def test_neither_meaning_nor_words_alone_are_enough(acme: Cast, question: str, cosine: float) -> None:
    keep()

    assert found(query(question, near(cosine))) is None


@pytest.mark.parametrize(
    "other",
    [{"feature": "api"}, {"tier": "strong"}, {"prompt_version_id": uuid4()}],
    ids=lambda other: next(iter(other)),
)
def test_another_feature_tier_or_prompt_has_answers_of_its_own(acme: Cast, other: dict[str, Any]) -> None:
    keep()

    assert found(**other) is None
    assert found() is not None


def test_what_the_workspace_knew_its_models_and_its_guard_are_part_of_an_answer(acme: Cast, settings: Any) -> None:
    keep()

    assert found(query(knowledge="k2")) is None
    policies.change(moderates=True)
    assert found() is None
    policies.change(moderates=False)
    assert found() is not None
    settings.OPENAI_API_KEY = "sk-test"
    assert found() is None


@pytest.mark.parametrize(
    "ended",
    [
        {"status": "stopped"},
        {"status": "failed"},
        {"finish_reason": "length"},
        {"flags": ["injection"]},
        {"is_cached": True},
        {"text": " "},
        {"text": "I can’t find that in your documents."},
        {"text": "I could not find anything about this."},
        {"text": "The passages don't mention parental leave [1]."},
        {"text": "There is no information on this in the handbook [1]."},
        {"text": "I'm sorry, but that isn't something I know [1]."},
    ],
    ids=lambda ended: str(next(iter(ended.values())))[:20],
)
def test_only_a_whole_unobjectionable_answer_is_kept(acme: Cast, ended: dict[str, Any]) -> None:
    keep(**ended)

    assert not CachedAnswer.objects.exists()


def test_an_answer_isnt_kept_if_what_it_rests_on_has_changed_meanwhile(acme: Cast) -> None:
    asked: list[str] = []

    def still_holds(answer: str) -> bool:
        asked.append(answer)
        return False

    keep(query(still_holds=still_holds))

    assert asked == ["28 days [1]."] and not CachedAnswer.objects.exists()


def test_an_expired_answer_is_given_only_when_no_model_answers(acme: Cast) -> None:
    keep()
    CachedAnswer.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    assert found() is None
    assert found(query(embedding=near(0.91)), threshold=0.90) is not None
    assert found(query(embedding=near(0.89)), threshold=0.90) is None
    assert found(query("How many days of unpaid leave do we get?"), threshold=0.90) is None
    assert found(query(knowledge="k2"), threshold=0.90) is None


def test_an_answer_lives_as_long_as_the_policy_says_and_a_newer_one_replaces_it(acme: Cast) -> None:
    policies.change(cache_hours=2)
    keep()
    keep(text="30 days [1].")

    kept = CachedAnswer.objects.get()
    assert kept.answer == "30 days [1]."
    assert timedelta(minutes=119) < kept.expires_at - timezone.now() <= timedelta(hours=2)


def test_the_policys_switch_and_threshold_hold(acme: Cast) -> None:
    keep()

    policies.change(cache_threshold=Decimal("1.00"))
    assert (found(query(embedding=near(0.99))), found() is None) == (None, False)
    policies.change(cache_is_on=False)
    assert (found(), found(threshold=0.90)) == (None, None)
    keep(query("What is the notice period?"))
    assert CachedAnswer.objects.count() == 1


def test_charlie_gets_nothing_for_the_same_question_and_the_same_knowledge(cast: Cast) -> None:
    with tenant_context(cast.acme):
        keep()
        alices = scope(query())

    with tenant_context(cast.globex):
        assert scope(query()) == alices  # all that a scope is made of is the same: only the tenant isn't
        assert found() is None
        assert CachedAnswer.unscoped.count() == 0
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM runs_cachedanswer")
            assert cursor.fetchone() == (0,)
        assert purge() == 0
    with tenant_context(cast.acme):
        assert found() is not None


def test_the_newest_are_kept(acme: Cast) -> None:
    for number in range(5):
        keep(query(f"What is rule {number}?"))
    CachedAnswer.objects.filter(question__lt="What is rule 3?").update(created_at=timezone.now() - timedelta(hours=1))

    keep_newest(most=3)
    assert CachedAnswer.objects.count() == 3  # of the same moment, not all
    keep_newest(most=2)

    assert set(CachedAnswer.objects.values_list("question", flat=True)) == {"What is rule 3?", "What is rule 4?"}


def test_a_run_that_is_gone_leaves_no_answer(acme: Cast) -> None:
    run = keep()
    run.delete()

    assert not CachedAnswer.objects.exists()


def test_a_lookup_takes_one_query_and_a_miss_no_write(acme: Cast, django_assert_num_queries: Any) -> None:
    keep()
    known, of = configuration.fresh(), query("What is the notice period?")
    where = scope(of)

    with django_assert_num_queries(1):
        find(of, scope=where, configuration=known)


def test_use_is_counted_from_the_runs(acme: Cast) -> None:
    answered()
    answered(is_cached=True, saved_usd=Decimal("0.002"), cost_usd=0)
    answered(purpose="judge")
    answered(status="failed")

    use = cache_use(Run.objects.all())

    assert (use.answers, use.cached, use.percent, use.saved_usd) == (2, 1, 50, Decimal("0.002"))
    assert cache_use(Run.objects.none()).percent == 0


def test_an_admin_changes_the_policy_and_forgets_what_is_kept(acme: Cast) -> None:
    keep()
    alice = signed_in(acme.alice)

    page = alice.get("/t/acme/settings/cache/").content.decode()
    saved = alice.post("/t/acme/settings/cache/", {"cache_threshold": "0.97", "cache_hours": "5"})
    wrong = alice.post("/t/acme/settings/cache/", {"cache_threshold": "0.5", "cache_hours": "0"}).content.decode()
    purged = alice.post("/t/acme/settings/cache/purge/")
    log = alice.get("/t/acme/audit/").content.decode()

    assert "Kept now" in page
    assert (saved.status_code, purged.status_code) == (302, 302)
    policy = policies.policy()
    assert (policy.cache_is_on, policy.cache_threshold, policy.cache_hours) == (False, Decimal("0.97"), 5)
    assert "Write a number from 0.90 to 1.00" in wrong
    assert not CachedAnswer.objects.exists()
    assert "had every answer forgotten" in log


def test_bob_may_not_and_charlie_doesnt_find_it(acme: Cast) -> None:
    keep()

    for user, status in ((acme.bob, 403), (acme.charlie, 404)):
        client = signed_in(user)
        assert client.get("/t/acme/settings/cache/").status_code == status
        assert client.post("/t/acme/settings/cache/", {"cache_hours": "1"}).status_code == status
        assert client.post("/t/acme/settings/cache/purge/").status_code == status
    assert CachedAnswer.objects.count() == 1
    assert policies.policy().cache_hours == 24


def test_a_digests_parts_dont_run_into_each_other() -> None:
    assert answers.digest("a", "bc") != answers.digest("ab", "c")
    assert replace(query(), question=f"  {QUESTION.lower()} ").terms == query().terms
