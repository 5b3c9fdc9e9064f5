"""The founder's story: a real document goes in, a question is asked, a cited answer streams out. And the outsider's."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from apps.chat.models import Conversation, Feedback
from apps.knowledge.models import Chunk, Document
from apps.runs.models import Run
from apps.tenants.context import tenant_context
from apps.tenants.models import User
from tests.browser.conftest import Server
from tests.conftest import PASSWORD, ROOT, Cast

Visit = Callable[..., Page]

HANDBOOK = """
<style>body { font: 12pt/1.5 serif; } h2 { margin-top: 1.5em; } .page { break-before: page; }</style>
<h1>Acme people handbook</h1>
<p>Acme makes oak furniture in two workshops. This handbook says how we work together.</p>
<h2>Working hours</h2>
<p>The workshops run from half past six to three. Office hours are flexible, with a core from ten to two.</p>
<div class="page"><h2>Paid leave</h2>
<p>Everybody at Acme gets 28 days of paid leave a year, on top of public holidays. You may carry up to five unused
days into the next year; they lapse on 31 March.</p></div>
<h2>Travel</h2><p>Hotels may cost up to 140 dollars a night. Use of your own car is paid per kilometre.</p>
"""
QUESTION = "How many days of paid leave do we get?"
WIDTHS = [pytest.param(390, id="phone"), pytest.param(1280, id="desktop")]


@pytest.fixture(scope="package")
def handbook(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PDF of two pages, printed by the browser."""
    path = tmp_path_factory.mktemp("pdf") / "people-handbook.pdf"
    page = browser.new_page()
    page.set_content(HANDBOOK)
    page.pdf(path=path, format="A4")
    page.close()
    return path


def upload(page: Page, *files: Path) -> None:
    page.locator("input[type=file]").set_input_files(list(files))


def ask(page: Page, question: str = QUESTION) -> None:
    page.get_by_label("Your question").fill(question)
    page.keyboard.press("Enter")


def answer(page: Page) -> Page:
    return page.locator("[data-answer]").last


def wait_until_answered(page: Page) -> None:
    expect(page.locator("[data-answer]").last.locator("[data-foot]")).to_be_visible()


def look(page: Page, name: str) -> None:
    """As it is, in light and in dark: it fits its window."""
    width = page.viewport_size["width"]
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} scrolls sideways in {scheme}"
        keep_screenshot(page, f"{name}-{'phone' if width < 500 else 'desktop'}-{scheme}")


def keep_screenshot(page: Page, name: str) -> None:
    """Into the folder SCREENSHOTS names, if it names one; a person looks at them."""
    if folder := os.environ.get("SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png")


def test_a_founder_uploads_a_pdf_and_reads_a_cited_streaming_answer(
    visit: Visit, committed_cast: Cast, handbook: Path
) -> None:
    page = visit(committed_cast.alice, "/t/acme/documents/")
    upload(page, handbook)
    expect(page.get_by_text("Ready").first).to_be_visible()
    keep_screenshot(page, "documents")

    page.goto("/t/acme/")
    page.evaluate(
        """() => {
            window.lengths = new Set();
            new MutationObserver(() => {
                const text = document.querySelector("[data-answer] [data-text]");
                if (text) window.lengths.add(text.textContent.length);
            }).observe(document.body, { childList: true, subtree: true, characterData: true });
        }"""
    )
    ask(page)
    expect(page.locator("[data-messages]")).to_contain_text(QUESTION)
    wait_until_answered(page)

    expect(answer(page)).to_contain_text("28 days of paid leave")
    assert page.evaluate("window.lengths.size") > 3  # it came in pieces
    expect(page).to_have_url(re.compile(r"/t/acme/chat/[0-9a-f-]{36}/$"))
    chip = answer(page).locator("a[data-source='1']").first
    chip.hover()
    expect(page.get_by_text("Open the passage")).to_be_visible()
    keep_screenshot(page, "answer")
    chip.click()

    mark = page.locator("mark").first
    expect(mark).to_contain_text("28 days of paid leave")
    expect(mark).to_be_in_viewport()
    keep_screenshot(page, "passage")
    with tenant_context(committed_cast.acme):
        document = Document.objects.get()
        run = Run.objects.get(kind="completion")
    assert (document.kind, document.page_count, document.status) == ("pdf", 2, "ready")
    assert (run.status, run.user_id, run.provider) == ("ok", committed_cast.alice.id, "offline")


def test_an_answer_is_the_same_after_a_reload_with_what_was_thought_of_it(
    visit: Visit, committed_cast: Cast, handbook: Path
) -> None:
    page = visit(committed_cast.alice, "/t/acme/documents/")
    upload(page, handbook)
    expect(page.get_by_text("Ready").first).to_be_visible()
    page.goto("/t/acme/")
    ask(page)
    wait_until_answered(page)
    before = answer(page).locator("[data-text]").inner_html()
    good, bad = (answer(page).get_by_role("button", name=name) for name in ("Good answer", "Bad answer"))
    good.focus()
    page.keyboard.press("Enter")
    expect(good).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(bad).to_have_attribute("aria-pressed", "true")
    answer(page).get_by_text("It is out of date").click()
    answer(page).get_by_label("Comment").fill("We get 30 days since March.")
    keep_screenshot(page, "feedback")
    answer(page).get_by_role("button", name="Save").click()
    expect(answer(page).get_by_role("button", name="Your comment")).to_be_focused()
    page.keyboard.press("Enter")
    answer(page).get_by_role("button", name="Make an eval case").click()
    expect(page).to_have_url(re.compile(r"/settings/quality/cases/[0-9a-f-]{36}/$"))
    expect(page.get_by_label("Question")).to_have_value(QUESTION)

    page.go_back()
    page.reload()

    expect(answer(page).locator("a[data-source='1']").first).to_be_visible()
    assert answer(page).locator("[data-text]").inner_html() == before
    expect(bad).to_have_attribute("aria-pressed", "true")
    expect(good).to_have_attribute("aria-pressed", "false")
    answer(page).get_by_role("button", name="Your comment").click()
    expect(answer(page).get_by_label("Comment")).to_have_value("We get 30 days since March.")
    expect(answer(page).get_by_role("radio", name="It is out of date")).to_be_checked()
    bad.click()
    expect(bad).to_have_attribute("aria-pressed", "false")
    expect(answer(page).get_by_label("Comment")).to_be_hidden()
    with tenant_context(committed_cast.acme):
        assert not Feedback.objects.exists()
    expect(page.get_by_role("link", name=re.compile("How many days of paid leave")).first).to_be_visible()


def test_several_files_are_dropped_and_a_bad_one_says_why_and_is_retried(
    visit: Visit, committed_cast: Cast, handbook: Path
) -> None:
    page = visit(committed_cast.alice, "/t/acme/documents/")
    drop = """(zone, files) => {
        const data = new DataTransfer();
        for (const [name, text] of files) data.items.add(new File([text], name));
        for (const type of ["dragenter", "dragover", "drop"])
            zone.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
    }"""

    page.locator("[data-upload]").evaluate(
        drop, [["leave.md", "# Leave\n\nWe get 28 days of leave."], ["broken.pdf", "%PDF-1.7 and then nothing"]]
    )

    expect(page.locator("#documents")).to_contain_text("Leave")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    keep_screenshot(page, "failed-document")
    with tenant_context(committed_cast.acme):
        first_attempt = Document.objects.get(filename="broken.pdf").attempt

    with page.expect_response("**/retry/"):
        page.get_by_role("button", name="Try again").click()

    def outcomes() -> set[tuple[str, str, bool]]:
        with tenant_context(committed_cast.acme):
            found = Document.objects.values_list("filename", "status", "attempt")
            return {(name, status, attempt != first_attempt) for name, status, attempt in found}

    expected = {("leave.md", "ready", True), ("broken.pdf", "failed", True)}
    for _ in range(200):
        if outcomes() == expected:
            break
        page.wait_for_timeout(100)
    assert outcomes() == expected
    expect(page.get_by_role("button", name="Try again")).to_be_visible()


def test_charlie_gets_nothing_of_acmes(visit: Visit, server: Server, committed_cast: Cast, handbook: Path) -> None:
    alices = visit(committed_cast.alice, "/t/acme/documents/")
    upload(alices, handbook)
    expect(alices.get_by_text("Ready").first).to_be_visible()
    alices.goto("/t/acme/")
    ask(alices)
    wait_until_answered(alices)
    with tenant_context(committed_cast.acme):
        document, conversation, chunk = Document.objects.get(), Conversation.objects.get(), Chunk.objects.first()

    page = visit(committed_cast.charlie, "/t/globex/")
    statuses = {
        path: page.request.get(path).status
        for path in (
            "/t/acme/",
            "/t/acme/documents/",
            f"/t/acme/documents/{document.id}/?passage={chunk.id}",
            f"/t/acme/documents/{document.id}/original/",
            f"/t/acme/chat/{conversation.id}/",
            "/t/acme/search/?q=leave",
            "/t/acme/runs/",
            "/t/acme/usage/",
            f"/t/globex/documents/{document.id}/",
            f"/t/globex/documents/{document.id}/original/",
            f"/t/globex/chat/{conversation.id}/",
            f"/media/{document.file.name}",
            f"/static/{document.file.name}",
        )
    }
    assert set(statuses.values()) == {404}, statuses
    opened = page.evaluate(
        """(url) => new Promise((done) => {
            const socket = new WebSocket(url);
            socket.onopen = () => done(true);
            socket.onclose = () => done(false);
        })""",
        server.url.replace("http", "ws") + "/t/acme/ws/chat/",
    )
    assert opened is False

    page.goto("/t/globex/")
    ask(page)
    wait_until_answered(page)
    expect(answer(page)).not_to_contain_text("28 days")
    assert "28 days" not in page.request.get("/t/globex/search/?q=paid+leave").text()
    page.goto("/t/globex/runs/")
    expect(page.locator("body")).not_to_contain_text("alice")
    with tenant_context(committed_cast.globex):
        assert set(Run.objects.values_list("user", flat=True)) == {committed_cast.charlie.id}


def test_sign_up_leads_into_a_workspace_of_ones_own(visit: Visit) -> None:
    page = visit(None, "/")
    keep_screenshot(page, "landing")
    page.get_by_role("link", name=re.compile("create|sign up|start", re.I)).first.click()
    page.locator("input[name=email]").fill("dora@initech.example")
    page.locator("input[name=password1]").fill("a long enough one")
    page.locator("input[name=workspace_name]").fill("Initech")
    page.locator("form button[type=submit]").first.click()

    expect(page).to_have_url(re.compile(r"/t/initech/$"))
    expect(page.get_by_text("Initech").first).to_be_visible()


@pytest.mark.parametrize("width", WIDTHS)
def test_pages_fit_a_phone_and_a_desk_in_light_and_dark(visit: Visit, committed_cast: Cast, width: int) -> None:
    page = visit(committed_cast.alice, "/t/acme/", width=width)

    for name, path in (
        ("chat", "/t/acme/"),
        ("documents", "/t/acme/documents/"),
        ("search", "/t/acme/search/?q=leave"),
        ("runs", "/t/acme/runs/"),
        ("usage", "/t/acme/usage/"),
        ("workspaces", "/workspaces/?all"),
        ("new", "/workspaces/new/"),
        ("landing", "/"),
    ):
        page.goto(path)
        look(page, name)


def test_the_readmes_screenshot_is_there() -> None:
    assert (ROOT / "docs/screenshot.png").stat().st_size > 10_000


def test_the_platforms_admin_works_under_its_own_policy(visit: Visit, committed_cast: Cast) -> None:
    with tenant_context(committed_cast.acme):
        Run.objects.create(feature="chat", provider="openai", model="house-model", user=committed_cast.alice)
    operator = User.objects.create_superuser("admin@corbel.example", PASSWORD)

    page = visit(operator, "/platform/")
    page.goto("/platform/runs/run/")

    expect(page.get_by_text("house-model").first).to_be_visible()
    assert page.evaluate("Boolean(window.Alpine)")
    keep_screenshot(page, "platform")
