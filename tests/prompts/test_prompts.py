"""Prompts: files in git become immutable versions; rendering runs nobody's code."""

from pathlib import Path

import pytest

from apps.prompts.catalog_files import BadCatalogFile, CatalogPrompt, read, read_all
from apps.prompts.models import PromptVersion
from apps.prompts.render import UnknownVariable, render
from apps.prompts.sync import sync, sync_one
from apps.tenants.context import tenant_context
from tests.conftest import Cast

PLATFORM = pytest.mark.django_db(transaction=True, databases=["default", "platform"])


@PLATFORM
def test_a_changed_file_becomes_a_new_live_version_and_the_old_one_stays(committed_cast: Cast) -> None:
    first = sync_one(CatalogPrompt("greeting", "chat", "", "Hello {name}."))
    assert sync_one(CatalogPrompt("greeting", "chat", "", "Hello {name}.")) is None
    second = sync_one(CatalogPrompt("greeting", "chat", "", "Good day, {name}."))

    with tenant_context(committed_cast.acme):
        assert PromptVersion.objects.live("greeting") == second
    assert (first.number, second.number) == (1, 2)
    kept = PromptVersion.objects.using("platform").filter(prompt=first.prompt).order_by("number")
    assert [(v.body, v.is_live) for v in kept] == [("Hello {name}.", False), ("Good day, {name}.", True)]
    kept.delete()
    first.prompt.delete()


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
def test_syncing_the_shipped_catalog_again_changes_nothing(transactional_db: None) -> None:
    assert sync() == []


def test_shipped_prompts_render_with_the_variables_they_are_given() -> None:
    for prompt in read_all():
        assert "{" not in render(prompt.body, workspace="Acme", begin="<a>", end="</a>")


def test_rendering_refuses_unknown_names_and_runs_nothing() -> None:
    with pytest.raises(UnknownVariable, match="wrokspace"):
        render("Hi {wrokspace}", workspace="Acme")
    with pytest.raises(UnknownVariable):
        render("{workspace.__class__}", workspace="Acme")
    with pytest.raises(UnknownVariable):
        render("{workspace[0]}", workspace="Acme")
    assert render("{{literal}} {workspace}", workspace="{begin}") == "{literal} {begin}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("no front matter", "bad.md: has no front matter."),
        ("---\n: [\n---\nbody", "bad.md: its front matter is not YAML"),
        ("---\ndescription: x\n---\nbody", "bad.md: names no feature."),
        ("---\nfeature: chat\n---\nan {open brace", "bad.md: its body doesn't parse"),
    ],
)
def test_a_bad_catalog_file_names_itself_and_the_mend(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "bad.md"
    path.write_text(text)

    with pytest.raises(BadCatalogFile) as raised:
        read(path)

    assert says in str(raised.value)
