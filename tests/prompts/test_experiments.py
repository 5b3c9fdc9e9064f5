"""Experiments: the same person gets the same arm, shares come out as weighed, and no arm crosses a workspace."""

from collections import Counter
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction

from apps.prompts.catalog_files import FOLDER, CatalogPrompt, read
from apps.prompts.experiments import Share, start, stop
from apps.prompts.models import Experiment, ExperimentArm, PromptVersion, Publication
from apps.prompts.models.experiment import Offered, arm_of
from apps.prompts.publish import Refused, back_to_default, publish, roll_back, write
from apps.prompts.sync import sync_one
from apps.tenants.context import tenant_context
from apps.tenants.models import AuditEvent
from tests.conftest import Cast


def default() -> PromptVersion:
    return PromptVersion.objects.get(prompt__name="answer", tenant=None, is_live=True)


def begin(*weights: int) -> Experiment:
    """The default against versions of the workspace's own, not in force."""
    versions = [default(), *(write("answer", f"Words {number}.") for number in range(1, len(weights)))]
    shares = [Share(version, weight) for version, weight in zip(versions, weights, strict=True)]
    return start(default().prompt, shares, question="Which is better?")


def test_the_same_person_gets_the_same_arm_and_shares_come_out_as_weighed() -> None:
    arms = [Offered(uuid4(), UUID(int=1), True, uuid4(), weight) for weight in (70, 20, 10)]
    people = [UUID(int=number) for number in range(10_000)]

    got = Counter(arm_of(arms, has_own=False, subject=person).weight for person in people)

    assert got == Counter(arm_of(arms, has_own=False, subject=str(person)).weight for person in people)
    assert all(abs(got[weight] - 100 * weight) < 150 for weight in (70, 20, 10))  # 3 sigma are 137


def test_a_workspaces_own_experiment_comes_first_and_everybodys_is_for_those_with_the_default() -> None:
    own, others = (Offered(uuid4(), uuid4(), is_own, uuid4(), 1) for is_own in (True, False))

    assert arm_of([others, own], has_own=False, subject="x") == own
    assert arm_of([others], has_own=False, subject="x") == others
    assert arm_of([others], has_own=True, subject="x") is None
    assert arm_of([], has_own=False, subject="x") is None


@pytest.mark.django_db
def test_people_are_given_arms_until_it_is_stopped(cast: Cast, django_assert_num_queries: object) -> None:
    people = [uuid4() for _ in range(40)]
    with tenant_context(cast.acme):
        experiment = begin(1, 1)
        chosen = {person: PromptVersion.objects.chosen("answer", subject=person) for person in people}
        again = {person: PromptVersion.objects.chosen("answer", subject=person) for person in people}
        with_default = next(person for person in people if chosen[person] == default())
        with django_assert_num_queries(1):
            PromptVersion.objects.chosen("answer", subject=with_default)
        arms = {arm.version_id: arm.id for arm in experiment.arms.all()}

        assert chosen == again and len(set(chosen.values())) == 2
        assert all(version.arm_id == arms[version.pk] for version in chosen.values())
        assert PromptVersion.objects.chosen("answer", subject=None).arm_id is None
        with pytest.raises(Refused, match="Stop it first"):
            start(default().prompt, [Share(version, 1) for version in set(chosen.values())])

        stop(experiment)

        assert {PromptVersion.objects.chosen("answer", subject=person) for person in people} == {default()}
    with tenant_context(cast.globex):
        assert Experiment.objects.count() == 0
        assert {PromptVersion.objects.chosen("answer", subject=person).arm_id for person in people} == {None}


@pytest.mark.django_db
def test_what_wins_is_published_or_gone_back_to(cast: Cast) -> None:
    with tenant_context(cast.acme):
        first = begin(1, 1)
        stop(first, winner=first.arms.get(position=2))
        assert PromptVersion.objects.live("answer").body == "Words 1."
        assert [arm.letter for arm in first.arms.filter(is_winner=True)] == ["B"]
        with pytest.raises(Refused, match="already"):
            stop(first)

        own, standard = PromptVersion.objects.live("answer"), default()
        second = start(standard.prompt, [Share(own, 3), Share(standard, 1)])
        stop(second, winner=second.arms.get(version=standard))

        assert PromptVersion.objects.live("answer") == standard


@pytest.mark.django_db
@pytest.mark.parametrize("deed", ["publish", "roll_back", "back_to_default"])
def test_what_is_put_in_force_is_so_for_everybody_at_once(cast: Cast, deed: str) -> None:
    people = [uuid4() for _ in range(20)]
    with tenant_context(cast.acme):
        good, bad = publish(write("answer", "Good.")), publish(write("answer", "Bad."))
        experiment = start(good.prompt, [Share(good, 1), Share(bad, 1)])
        wanted = {"publish": good, "roll_back": good, "back_to_default": default()}[deed]
        assert {PromptVersion.objects.chosen("answer", subject=person) for person in people} == {good, bad}

        {
            "publish": lambda: publish(good),
            "roll_back": lambda: roll_back("answer"),
            "back_to_default": lambda: back_to_default("answer"),
        }[deed]()

        assert {PromptVersion.objects.chosen("answer", subject=person) for person in people} == {wanted}
        assert AuditEvent.objects.filter(action="experiment.stopped").count() == 1
        with pytest.raises(Refused, match="already"):
            stop(experiment)


@pytest.mark.django_db
def test_what_makes_no_experiment_is_refused(cast: Cast) -> None:
    with tenant_context(cast.globex):
        theirs = write("answer", "Globex's words.")
    with tenant_context(cast.acme):
        mine, standard = write("answer", "Acme's words."), default()
        other_prompt = PromptVersion.objects.live("judge")
        for shares, says in (
            ([Share(mine, 1)], "two to 4"),
            ([Share(mine, 1), Share(mine, 1)], "two to 4"),
            ([Share(mine, 1), Share(other_prompt, 1)], "Only versions of this prompt"),
            ([Share(mine, 1), Share(theirs, 1)], "Only versions of this prompt"),
            ([Share(mine, 0), Share(standard, 1)], "A weight is"),
        ):
            with pytest.raises(Refused, match=says):
                start(standard.prompt, shares)
        assert Experiment.objects.count() == 0


@pytest.mark.django_db
def test_the_database_lets_no_arm_point_at_another_workspace(cast: Cast) -> None:
    with tenant_context(cast.globex):
        theirs, their_experiment = write("answer", "Globex's words."), begin(1, 1)
    with tenant_context(cast.acme):
        mine = begin(1, 1)
        for experiment, version in ((mine, theirs), (their_experiment, default())):
            with pytest.raises(IntegrityError, match="another tenant"), transaction.atomic():
                ExperimentArm.objects.create(
                    tenant=cast.acme, experiment=experiment, version=version, position=3, weight=1
                )


@pytest.fixture
def two_defaults(committed_cast: Cast) -> Iterator[tuple[PromptVersion, PromptVersion]]:
    """The shipped words in force, and others before them; gone again after the test."""
    file = read(FOLDER / "answer.md")
    shipped = PromptVersion.objects.using("platform").get(prompt__name="answer", tenant=None, is_live=True)
    other = sync_one(CatalogPrompt("answer", file.feature, file.description, "Other words.", file.spec))
    yield shipped, other
    shipped.make_live()
    Experiment.unscoped.using("platform").all().delete()
    Publication.unscoped.using("platform").filter(version=other).delete()
    other.delete()


@pytest.mark.django_db(transaction=True, databases=["default", "platform"])
def test_everybodys_experiment_is_for_workspaces_with_the_default(
    committed_cast: Cast, two_defaults: tuple[PromptVersion, PromptVersion], capsys: pytest.CaptureFixture[str]
) -> None:
    shipped, other = two_defaults
    people = [uuid4() for _ in range(40)]
    with tenant_context(committed_cast.globex):
        own = publish(write("answer", "Globex's words."))

    call_command("experiments", "start", "answer", f"{shipped.number}=1", f"{other.number}=1")

    with tenant_context(committed_cast.acme):
        assert {PromptVersion.objects.chosen("answer", subject=person) for person in people} == {shipped, other}
    with tenant_context(committed_cast.globex):
        assert {PromptVersion.objects.chosen("answer", subject=person) for person in people} == {own}
    with pytest.raises(CommandError, match="Stop it first"):
        call_command("experiments", "start", "answer", f"{shipped.number}=1", f"{other.number}=1")
    with pytest.raises(CommandError, match="has no version 99"):
        call_command("experiments", "start", "answer", f"{shipped.number}=1", "99=1")

    call_command("experiments", "show", "answer")
    shown = capsys.readouterr().out
    assert f"A  answer v{shipped.number}, weight 1: 0 people, 0 calls" in shown and "nothing yet" in shown
    with tenant_context(committed_cast.acme):
        older, live = (PromptVersion.objects.get(pk=version.pk) for version in (shipped, other))
        tried = start(live.prompt, [Share(live, 1), Share(older, 1)])
        with pytest.raises(Refused, match="older default"):
            stop(tried, winner=tried.arms.get(version=older))
        stop(tried)
    call_command("experiments", "stop", "answer", promote=shipped.number)

    with tenant_context(committed_cast.acme):
        assert {PromptVersion.objects.chosen("answer", subject=person) for person in people} == {shipped}
    call_command("experiments", "start", "answer", f"{shipped.number}=1", f"{other.number}=1")
    call_command("prompts", "rollback", "answer", to=other.number)
    with tenant_context(committed_cast.acme):
        assert {PromptVersion.objects.chosen("answer", subject=person) for person in people} == {other}
    assert capsys.readouterr().out.splitlines()[-1] == f"{other} is live in every workspace without its own"
