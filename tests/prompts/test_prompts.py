"""Prompts: files in git become immutable versions; rendering runs nobody's code."""

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction

from apps.prompts.catalog_files import BadCatalogFile, CatalogPrompt, read, read_all
from apps.prompts.defaults import roll_back
from apps.prompts.models import PromptVersion, Publication
from apps.prompts.publish import Refused, publish, write
from apps.prompts.render import UnknownVariable, render
from apps.prompts.spec import BadPrompt, Kind, Spec, Variable
from apps.prompts.sync import misfits, sync, sync_one
from apps.runs.cascade import Judgement
from apps.runs.route import Hardness
from apps.runs.structured import strict
from apps.tenants.context import tenant_context
from tests.conftest import Cast

PLATFORM = pytest.mark.django_db(transaction=True, databases=["default", "platform"])


@PLATFORM
def test_a_changed_file_becomes_a_new_live_version_and_the_old_one_stays(committed_cast: Cast) -> None:
    spec = Spec((Variable("name"),))
    first = sync_one(CatalogPrompt("greeting", "chat", "", "Hello {name}.", spec))
    assert sync_one(CatalogPrompt("greeting", "chat", "", "Hello {name}.", spec)) is None
    second = sync_one(CatalogPrompt("greeting", "chat", "", "Good day, {name}.", spec))
    third = sync_one(
        CatalogPrompt("greeting", "chat", "", "Good day, {name}.", Spec((Variable("name"),), tier="cheap"))
    )

    with tenant_context(committed_cast.acme):
        assert PromptVersion.objects.live("greeting") == third
        assert PromptVersion.objects.live("greeting").forced_tier == "cheap"
    assert [version.number for version in (first, second, third)] == [1, 2, 3]
    kept = PromptVersion.objects.using("platform").filter(prompt=first.prompt).order_by("number")
    assert [(v.body, v.is_live) for v in kept] == [
        ("Hello {name}.", False),
        ("Good day, {name}.", False),
        ("Good day, {name}.", True),
    ]
    assert "greeting" in sync().without_file

    assert roll_back("greeting") == second
    assert sync_one(CatalogPrompt("greeting", "chat", "", "Good day, {name}.", third.spec)) is None  # it stays undone
    fourth = sync_one(CatalogPrompt("greeting", "chat", "", "Hey, {name}.", spec))
    assert [roll_back("greeting"), roll_back("greeting")] == [second, first]
    with pytest.raises(Refused, match="the first version there is"):
        roll_back("greeting")
    notes = Publication.unscoped.using("platform").filter(prompt=first.prompt)
    notes.delete()  # as where a release older than they are was rolled out
    sync_one(CatalogPrompt("greeting", "chat", "", "Ho, {name}.", spec))
    assert roll_back("greeting") == fourth

    notes.delete()
    kept.delete()
    first.prompt.delete()


@PLATFORM
def test_own_versions_that_name_what_the_default_has_no_more_are_told(committed_cast: Cast) -> None:
    default = PromptVersion.objects.using("platform").get(prompt__name="answer", tenant=None, is_live=True)
    with tenant_context(committed_cast.acme):
        own = publish(write("answer", "For {workspace}."))
    without = PromptVersion(prompt=default.prompt, variables=[])

    assert (misfits(default), misfits(without)) == ([], [own])


@PLATFORM
def test_a_version_is_never_changed(committed_cast: Cast) -> None:
    default = PromptVersion.objects.using("platform").get(prompt__name="answer", tenant=None, is_live=True)

    for change in ({"body": "Other words."}, {"tier": "strong"}, {"variables": []}, {"number": 99}):
        with pytest.raises(IntegrityError, match="never changed"), transaction.atomic(using="platform"):
            PromptVersion.objects.using("platform").filter(pk=default.pk).update(**change)


@PLATFORM
def test_a_tenants_own_version_comes_before_the_default(committed_cast: Cast) -> None:
    default = PromptVersion.objects.using("platform").get(prompt__name="answer", tenant=None, is_live=True)
    with tenant_context(committed_cast.acme):
        own = PromptVersion.objects.create(
            tenant=committed_cast.acme, prompt_id=default.prompt_id, number=1, body="Ours.", checksum="x", is_live=True
        )
        assert PromptVersion.objects.live("answer") == own
    with tenant_context(committed_cast.globex):
        assert PromptVersion.objects.live("answer") == default
        assert not PromptVersion.objects.filter(pk=own.pk).exists()


@PLATFORM
def test_syncing_the_shipped_catalog_again_changes_nothing(
    transactional_db: None, capsys: pytest.CaptureFixture[str]
) -> None:
    report = sync()
    call_command("prompts", "sync")

    assert (report.published, report.unchanged, report.without_file) == ([], len(read_all()), [])
    assert capsys.readouterr().out == f"0 new, {len(read_all())} unchanged.\n"


def test_shipped_prompts_render_with_the_variables_they_declare() -> None:
    for prompt in read_all():
        values = {variable.name: variable.read(variable.example) for variable in prompt.spec.variables}
        assert "{" not in render(prompt.body, **values)
        assert all(variable.description and variable.example for variable in prompt.spec.variables)


def test_the_schemas_in_the_catalog_are_those_that_answers_are_checked_by() -> None:
    schemas = {prompt.name: prompt.spec.output_schema for prompt in read_all() if prompt.spec.output_schema}

    assert schemas == {"route": strict(Hardness), "judge": strict(Judgement)}


def test_rendering_refuses_unknown_names_and_runs_nothing() -> None:
    with pytest.raises(UnknownVariable, match="wrokspace"):
        render("Hi {wrokspace}", workspace="Acme")
    for code in ("{workspace.__class__}", "{workspace[0]}", "{workspace!r}", "{workspace:>99999999}", "{}", "{0}"):
        with pytest.raises(BadPrompt):
            render(code, workspace="Acme")
    assert render("{{literal}} {workspace}", workspace="{begin}") == "{literal} {begin}"


@pytest.mark.parametrize(
    ("kind", "text", "read_as"),
    [
        ("line", " one line ", "one line"),
        ("line", "two\nlines", None),
        ("text", "two\nlines", "two\nlines"),
        ("integer", "-3", "-3"),
        ("integer", "3.5", None),
        ("number", "3.5", "3.5"),
        ("number", "1e9", None),
        ("boolean", "Yes", "true"),
        ("boolean", "maybe", None),
        ("json", '{"a": [1]}', '{"a": [1]}'),
        ("json", "{a: 1}", None),
        ("json", "[" * 5_000, None),
        ("json", '"\\ud800"', None),
        ("json", "NaN", None),
        ("integer", "٣", None),
        ("number", "٣", None),
    ],
)
def test_values_are_of_their_variables_type(kind: str, text: str, read_as: str | None) -> None:
    variable = Variable("size", Kind(kind))

    if read_as is None:
        with pytest.raises(BadPrompt, match="size"):
            variable.read(text)
    else:
        assert variable.read(text) == read_as


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("no front matter", "bad.md:1: has no front matter."),
        ("---\n: [\n---\nbody", "bad.md:2: its front matter is not YAML"),
        ("---\njust words\n---\nbody", "bad.md:2: its front matter holds no names."),
        ("---\ndescription: x\n---\nbody", "bad.md:1: names no feature."),
        ("---\nfeature: chat\ntires: 4\n---\nbody", "bad.md:3: 'tires' means nothing here."),
        ("---\nfeature: chat\ntier: huge\n---\nbody", "bad.md:3: tier is 'huge'. Write one of cheap, standard, strong"),
        ("---\nfeature: chat\nmax_output_tokens: 0\n---\nbody", "bad.md:3: max_output_tokens is 0."),
        (
            "---\nfeature: chat\nvariables:\n  a: text\n  size: {type: date}\n---\n{a}",
            "bad.md:5: the variable size is of the type 'date'. Write one of line, text, integer",
        ),
        ("---\nfeature: chat\noutput_schema: {type: string}\n---\nbody", "bad.md:3: output_schema is no schema"),
        ("---\nfeature: chat\n---\n\nfine\nan {open brace", "bad.md:6: a brace is open or closes nothing"),
        ("---\nfeature: chat\n---\nfine\nHello {name}", "bad.md:5: {name} is no variable of this prompt."),
        (
            "---\nfeature: chat\nvariables:\n  q: {type: text, required: true}\n---\nAnswer.",
            "the prompt doesn’t use {q}.",
        ),
        ("---\nfeature: chat\n---\n \n", "the prompt is empty."),
    ],
)
def test_a_bad_catalog_file_names_itself_the_line_and_the_mend(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "bad.md"
    path.write_text(text)

    with pytest.raises(BadCatalogFile) as raised:
        read(path)

    assert says in str(raised.value)


@PLATFORM
def test_the_command_rolls_back_by_name_and_says_what_it_cannot_do(
    committed_cast: Cast, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CommandError, match="the default is"):
        call_command("prompts", "rollback", "answer", workspace="acme")
    with pytest.raises(CommandError, match="No workspace has the address 'nowhere'"):
        call_command("prompts", "rollback", "answer", workspace="nowhere")
    with pytest.raises(CommandError, match="No prompt is named 'nothing'"):
        call_command("prompts", "rollback", "nothing")
