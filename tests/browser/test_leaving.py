"""The last page of a workspace's story: its owner takes everything out, and deletes it."""

import zipfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from apps.tenants.models import Tenant
from tests.conftest import PASSWORD, Cast


def test_an_owner_takes_everything_out_and_deletes_the_workspace(
    visit: Callable[..., Page], committed_cast: Cast, tmp_path: Path
) -> None:
    page = visit(committed_cast.alice, "/t/acme/leaving/", by_form=True)
    page.get_by_role("button", name="Prepare an export").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    download.value.save_as(tmp_path / "acme.zip")
    with zipfile.ZipFile(tmp_path / "acme.zip") as archive:
        assert "alice@acme.example" in archive.read("people.jsonl").decode()

    page.get_by_role("link", name="Prove who you are first").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Type the workspace’s address").fill("acme")
    page.get_by_role("button", name="Delete Acme").click()
    page.get_by_role("button", name="Delete for good").click()

    expect(page.get_by_text("Acme is closed, and is being deleted.")).to_be_visible()
    expect(page.get_by_text("You are in no workspace yet.")).to_be_visible()
    for _ in range(200):
        if Tenant.objects.with_id(committed_cast.acme.id) is None:
            break
        page.wait_for_timeout(100)
    assert Tenant.objects.with_id(committed_cast.acme.id) is None
    assert page.goto("/t/acme/").status == 404
