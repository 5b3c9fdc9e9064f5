"""A real Chromium against a real web process and a real worker, on the test database.

Without a browser these tests are skipped with a loud reason; REQUIRE_BROWSER=1 makes that a failure.
"""

import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from apps.tenants.models import User
from tests.accounts.provider import CLIENT_ID, SECRET, Provider
from tests.conftest import PASSWORD, ROOT, Cast

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next((found for name in NAMES if (found := shutil.which(name))), "")
WHY_NOT = "BROWSER TESTS DID NOT RUN: no Chromium on this machine. Install the package `chromium` and run again."
BUILT = ROOT / "static/dist/.vite/manifest.json"
START_S = 60
expect.set_options(timeout=20_000)  # a busy machine is not a broken page


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("browser")
            if not CHROMIUM and not os.environ.get("REQUIRE_BROWSER"):
                item.add_marker(pytest.mark.skip(reason=WHY_NOT))


@dataclass
class Server:
    url: str
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)


@pytest.fixture(scope="package")
def provider() -> Iterator[Provider]:
    """A GitHub of our own, which the web process is told of."""
    running = Provider()
    yield running
    running.close()


@pytest.fixture(scope="package")
def server(django_db_setup: None, provider: Provider) -> Iterator[Server]:
    """Web and worker as `make run` starts them, with what the tests' settings say."""
    if not CHROMIUM:
        pytest.fail(WHY_NOT)
    if not BUILT.exists():
        pytest.fail("The front end is not built. Run `make test`, which builds it, or `npm run build`.")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    github = {"GITHUB_URL": provider.url, "GITHUB_CLIENT_ID": CLIENT_ID, "GITHUB_CLIENT_SECRET": SECRET}
    environ = {**os.environ, **github, "PUBLIC_URL": f"http://127.0.0.1:{port}", "BILLING": "local"}
    environ.pop("DJANGO_ALLOW_ASYNC_UNSAFE", None)
    web = ["uvicorn", "config.asgi:application", "--port", str(port), "--log-level", "warning", "--no-proxy-headers"]
    worker = ["celery", "-A", "config.celery", "worker", "--concurrency", "1", "--loglevel", "warning"]
    running = Server(f"http://127.0.0.1:{port}")
    try:
        for command in (web, worker):
            running.processes.append(subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, env=environ))
        wait_until_ready(running)
        yield running
    finally:
        for process in running.processes:
            process.terminate()
        for process in running.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until_ready(server: Server) -> None:
    web, worker = server.processes
    for _ in range(START_S * 10):
        if worker.poll() is not None:
            pytest.fail("The worker ended at its start; its output is above.")
        try:
            with urllib.request.urlopen(f"{server.url}/healthz", timeout=1):
                return
        except OSError:
            try:
                web.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
            pytest.fail("The web process ended at its start; its output is above.")
    pytest.fail(f"The web process did not answer within {START_S} seconds.")


@pytest.fixture(scope="package")
def browser(server: Server) -> Iterator[Browser]:
    """One browser for this folder. Its event loop runs in this thread until it is closed, which Django's ORM takes
    for a coroutine's; between Playwright's steps the ORM calls are ours alone."""
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"]
    with sync_playwright() as playwright, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=[*flags, "--disable-component-update"])


@pytest.fixture
def visit(browser: Browser, server: Server, committed_cast: Cast) -> Iterator[Callable[..., Page]]:
    """visit(user, "/t/acme/", width=1280) -> the page, signed in as that user.

    by_form: signed in through the form. Who gives the password again later must: the server hashes it anew when it
    first sees it, for the tests' hash is a cheap one, and that ends the sessions there are.
    At the end no page may have broken the content security policy, thrown an error or asked another host.
    """
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def listen(page: Page) -> None:
        page.on("pageerror", lambda error: complaints.append(f"error on {page.url}: {error}"))
        page.on("console", lambda said: complaints.append(said.text) if is_policy(said) else None)
        page.on("request", lambda request: complaints.append(request.url) if is_foreign(request.url) else None)

    def is_foreign(url: str) -> bool:
        return not url.startswith((server.url, server.url.replace("http", "ws"), "data:", "blob:", "about:"))

    def open_page(user: User | None, path: str = "/", *, by_form: bool = False, width: int = 1280, **more: Any) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 844 if width < 500 else 860},
            base_url=server.url,
            **more,
        )
        context.set_default_timeout(20_000)
        contexts.append(context)
        context.on("page", listen)
        if user is not None and not by_form:
            sign_in(context, user, server)
        page = context.new_page()
        if user is not None and by_form:
            fill_in(page, user, path)
        else:
            page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def is_policy(said: Any) -> bool:
    return "Content Security Policy" in said.text or "Content-Security-Policy" in said.text


def sign_in(context: BrowserContext, user: User, server: Server) -> None:
    """Without the form, which costs two pages and an earnest hash each time; tests/accounts fills it in."""
    client = Client(headers={"host": server.url.removeprefix("http://")})
    assert client.post("/accounts/login/", {"login": user.email, "password": PASSWORD}).status_code == 302
    name = settings.SESSION_COOKIE_NAME
    context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": server.url}])


def fill_in(page: Page, user: User, path: str) -> None:
    page.goto(f"/accounts/login/?next={path}")
    page.locator("input[name=login]").fill(user.email)
    page.locator("input[name=password]").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(lambda url: "/accounts/login/" not in url)
