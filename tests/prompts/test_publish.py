"""A workspace's own versions: written, published, rolled back; in force with the next call, and nobody else's."""

import pytest
from django.core.management import CommandError, call_command

from apps.prompts.models import Prompt, PromptVersion, Publication
from apps.prompts.publish import Refused, back_to_default, discard, find, publish, roll_back, visible_versions, write
from apps.prompts.spec import BadPrompt
from apps.runs.models import Run
from apps.tenants.context import tenant_context, user_context
from apps.tenants.models import AuditEvent
from tests.conftest import Cast

pytestmark = pytest.mark.django_db


def live() -> tuple[int, bool]:
    """The number of the version in force, and whether it is the workspace's own."""
    version = PromptVersion.objects.live("answer")
    return version.number, version.tenant_id is not None


def test_what_is_written_is_not_in_force_until_it_is_published(cast: Cast) -> None:
    with tenant_context(cast.acme), user_context(cast.alice):
        version = write("answer", "Answer in one line.\r\n", message=" Shorter \n answers ", tier="cheap")
        before = live()
        publish(version)

        assert before == (PromptVersion.objects.get(prompt__name="answer", tenant=None, is_live=True).number, False)
        assert live() == (1, True)
        assert (version.body, version.message, version.author) == ("Answer in one line.", "Shorter answers", cast.alice)
        assert version.forced_tier == "cheap"
        assert [variable.name for variable in version.declared] == ["workspace", "begin", "end"]
        assert list(AuditEvent.objects.order_by("at").values_list("action", flat=True))[-2:] == [
            "prompt.written",
            "prompt.published",
        ]
    with tenant_context(cast.globex):
        assert live()[1] is False
        assert not visible_versions(find("answer")).filter(tenant__isnull=False).exists()


def test_rolling_back_goes_further_back_each_time_and_ends_at_the_default(cast: Cast) -> None:
    with tenant_context(cast.acme):
        for words in ("One.", "Two.", "Never in force.", "Four."):
            version = write("answer", words)
            if words != "Never in force.":
                publish(version)

        steps = [roll_back("answer"), roll_back("answer"), roll_back("answer")]

        assert [step and step.body for step in steps] == ["Two.", "One.", None]
        assert live()[1] is False
        with pytest.raises(Refused, match="the default is"):
            roll_back("answer")
        assert roll_back("answer", to=4).body == "Four." and live() == (4, True)
        with pytest.raises(Refused, match="no version 9"):
            roll_back("answer", to=9)
        assert Publication.objects.filter(tenant=cast.acme).count() == 7


def test_rolling_back_passes_over_what_was_rolled_back_and_returns_from_an_older_one(cast: Cast) -> None:
    with tenant_context(cast.acme):
        good = publish(write("answer", "Good."))
        publish(write("answer", "Bad."))
        roll_back("answer")
        worse = publish(write("answer", "Worse."))

        assert roll_back("answer") == good

        publish(worse)
        publish(good)
        publish(good)
        assert [roll_back("answer"), roll_back("answer"), roll_back("answer")] == [worse, good, None]

        publish(worse)
        back_to_default("answer")
        publish(good)
        assert roll_back("answer") is None


def test_a_catalogs_prompt_leaves_one_of_the_same_name_alone(cast: Cast) -> None:
    with tenant_context(cast.acme):
        Prompt.objects.create(tenant=cast.acme, name="answer", feature="batch")
        shadowed = Prompt.objects.get(tenant=cast.acme)
        PromptVersion.objects.create(
            tenant=cast.acme, prompt=shadowed, number=1, body="Ours.", checksum="x", is_live=True
        )

        assert publish(write("answer", "One.")).number == 1
        assert roll_back("answer") is None
        with pytest.raises(Refused, match="the default is"):
            roll_back("answer")
        assert shadowed.versions.get().is_live


def test_back_to_the_default_keeps_every_version(cast: Cast) -> None:
    with tenant_context(cast.acme):
        publish(write("answer", "Ours."))

        back_to_default("answer")

        assert live()[1] is False
        assert PromptVersion.objects.filter(tenant=cast.acme).count() == 1
        with pytest.raises(Refused):
            back_to_default("answer")


def test_bad_words_are_refused_when_they_are_saved(cast: Cast) -> None:
    with tenant_context(cast.acme):
        write("route", "Between {begin} and {end}.")
        for name, body, says in (
            ("answer", "Hello {worspace}", "line 1: {worspace} is no variable"),
            ("answer", "Hello\n{workspace.settings}", "line 2: {workspace.settings} is more than a name"),
            ("answer", "  \n ", "is empty"),
            ("route", "Which tier?", "doesn’t use {begin}, {end}"),
            ("answer", "x" * 50_001, "50,001 characters"),
        ):
            with pytest.raises(BadPrompt, match=says.replace("{", r"\{").replace("}", r"\}").replace(".", r"\.")):
                write(name, body)
        with pytest.raises(Refused, match="Version 1 says exactly that already"):
            write("route", "Between {begin} and {end}.")
        assert PromptVersion.objects.filter(tenant=cast.acme).count() == 1


def test_a_version_that_was_in_force_cannot_be_deleted_and_a_draft_can(cast: Cast) -> None:
    with tenant_context(cast.acme):
        first, draft = publish(write("answer", "One.")), write("answer", "Draft.")
        with pytest.raises(Refused, match="in force"):
            discard(first)
        back_to_default("answer")
        with pytest.raises(Refused, match="past answers"):
            discard(first)
        with pytest.raises(Refused, match="catalog"):
            discard(PromptVersion.objects.live("answer"))

        tried = write("answer", "Tried.")
        run = {"feature": "try", "provider": "p", "model": "m", "status": "ok", "finished_at": tried.created_at}
        Run.objects.create(**run, prompt_version=tried)
        with pytest.raises(Refused, match="has been tried"):
            discard(tried)

        discard(draft)

        assert list(PromptVersion.objects.filter(tenant=cast.acme).order_by("number")) == [first, tried]


@pytest.mark.django_db(transaction=True, databases=["default", "platform"])
def test_an_operator_rolls_back_one_workspace_or_everybodys_default(
    committed_cast: Cast, capsys: pytest.CaptureFixture[str]
) -> None:
    with tenant_context(committed_cast.acme):
        publish(write("answer", "One."))
        publish(write("answer", "Two."))

    call_command("prompts", "rollback", "answer", workspace="acme")

    assert capsys.readouterr().out == "answer v1 is live in acme\n"
    with tenant_context(committed_cast.acme):
        assert live() == (1, True)
    call_command("prompts", "rollback", "answer", workspace="acme")
    assert capsys.readouterr().out == "the default of answer is live in acme\n"
    with pytest.raises(CommandError, match="No prompt is named 'nothing'"):
        call_command("prompts", "rollback", "nothing", workspace="acme")
