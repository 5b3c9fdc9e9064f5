"""The canary: a workspace's key goes through pages, calls and crashes of every kind, and is then looked for everywhere
that something could have kept it. Its last four characters are all that is found.
"""

import io
import logging
import re
import sys
import traceback
import zipfile
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import openai
import pytest
import redis
from django.conf import settings as django_settings
from django.test import Client, RequestFactory
from django.views.debug import get_exception_reporter_class, technical_500_response

from apps.runs import execute
from apps.runs.gateway.types import Deadlines, Message, Request
from apps.runs.models import Run
from apps.tenants import archive, provider_keys
from apps.tenants.context import tenant_context
from apps.tenants.models import ProviderKey
from apps.tenants.threads import in_thread
from apps.tenants.vault import Secret, sealing
from tests.conftest import Cast, admin, signed_in
from tests.gateway.stub import Cut, Fail, Finish, Garbage, Refuse, Say, Stall, Stub

from .providers import Provider, serving

CANARY = "sk-canary-7Hq2vN8xT4mLwZ-9f3b"
FOUR = CANARY[-4:]
HELLO = Request(messages=(Message("user", "Say hello."),), max_output_tokens=50, question="Hello?")
PAGE = "/t/acme/settings/provider-keys/"
PRICES = {"input_usd": "1", "output_usd": "2"}

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "platform"])


class Everything(logging.Handler):
    """Each record as a formatter could write it, with what its traceback's variables hold. What templates look up in
    vain is thousands of records, and of no key."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == "django.template":
            return
        self.lines.append(f"{record.name} {record.getMessage()} {record.args!r}")
        if record.exc_info and record.exc_info[1]:
            self.lines.append(with_locals(record.exc_info[1]))


def with_locals(error: BaseException) -> str:
    return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


@pytest.fixture
def log() -> Iterator[Everything]:
    """What every logger there is says at its most talkative, those that don't hand on too."""
    for name in ("openai", "anthropic", "httpx2", "httpcore2", "httpcore2.http11", "httpcore2.connection", "asyncio"):
        logging.getLogger(name)
    loggers = [logging.getLogger(), *(logging.getLogger(name) for name in logging.root.manager.loggerDict)]
    before = [(logger, logger.level) for logger in loggers]
    handler = Everything()
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)
    for logger, level in before:
        logger.setLevel(level)


@pytest.fixture
def stub() -> Iterator[Stub]:
    with Stub().serving() as stub:
        yield stub


@pytest.fixture
def provider(settings: Any, stub: Stub) -> Iterator[Provider]:
    """Where the key is entered; calls then go to the stub."""
    with serving(CANARY) as provider:
        settings.PRIVATE_PROVIDER_HOSTS = [provider.place, f"127.0.0.1:{stub.port}"]
        yield provider


def typed(provider: Provider, **fields: str) -> dict[str, str]:
    said = {"name": "ours", "kind": "openai", "base_url": provider.openai_url, "key": CANARY, "models": "model-a"}
    return {**said, **fields}


def entered(cast: Cast, provider: Provider, stub: Stub, kind: str) -> list[str]:
    """Enter the key as Alice does, well and badly. Returns the pages she has seen. The account leads to the stub."""
    client, seen = signed_in(cast.alice), []

    def see(response: Any) -> Any:
        seen.append(f"{response.content.decode()} {response.headers} {client.cookies}")
        return response

    base_url = provider.openai_url if kind == "openai" else provider.anthropic_url
    for wrong in ({"name": "no name"}, {"models": "model-z"}, {"base_url": "https://127.0.0.1"}, {"key": CANARY + "x"}):
        assert see(client.post(f"{PAGE}add/", typed(provider, kind=kind, **{"base_url": base_url, **wrong}))).context
    see(client.post(f"{PAGE}add/", typed(provider, kind=kind, base_url=base_url), follow=True))
    with tenant_context(cast.acme):
        row = ProviderKey.objects.get()
    for deed, said in (("", {"others": "model-a", **PRICES}), ("replace/", {"key": CANARY}), ("test/", {})):
        see(client.post(f"{PAGE}{row.pk}/{deed}", said, follow=True))
    provider.faults["/v1/models"] = 500
    see(client.post(f"{PAGE}{row.pk}/test/", follow=True))
    see(client.get(f"{PAGE}{row.pk}/"))
    for page in (
        "audit/",
        "settings/models/",
        "admin/tenants/providerkey/",
        f"admin/tenants/providerkey/{row.pk}/change/",
    ):
        assert see(client.get(f"/t/acme/{page}")).status_code == 200
    with tenant_context(cast.acme):
        ProviderKey.objects.update(base_url=stub.base_url(kind))
    return seen


def given(cast: Cast, stub: Stub, kind: str) -> None:
    """The account, without pages."""
    with tenant_context(cast.acme):
        row = ProviderKey(name="ours", kind=kind, base_url=stub.base_url(kind), model_names=["model-a"])
        row.input_usd = row.output_usd = Decimal(1)
        provider_keys.add(row, Secret(CANARY))


SCRIPTS: dict[str, tuple[Any, ...]] = {
    "answers": (Say("Hello."), Finish()),
    "refuses": (Refuse(401, "authentication_error", "invalid_api_key", f"Incorrect API key provided: {CANARY}."),),
    "broken": (Refuse(500, message=f"Bearer {CANARY}"),),
    "bad_request": (Refuse(400, "invalid_request_error", message=f"What is {CANARY}?"),),
    "fails_inside": (Say("Hel"), Fail("authentication_error", f"{CANARY} is not allowed")),
    "garbage": (Say("Hel"), Garbage(f'{{"key": "{CANARY}", "cho')),
    "cut": (Say("Hel"), Cut()),
    "hangs": (Stall(),),
    "repeats": (Say("You sent "), Say(CANARY[:9]), Say(CANARY[9:]), Finish()),
}


async def call(cast: Cast, stub: Stub, steps: tuple[Any, ...]) -> Run:
    stub.script("model-a", *steps)
    return await execute.complete(
        HELLO, feature="chat", user=cast.alice, deadlines=Deadlines(first_token_s=0.5, idle_s=0.5, total_s=3)
    )


def tables() -> Iterator[tuple[str, str]]:
    """Every table of every schema, with all its rows as text. Bytes are shown as they are, and in hex."""
    with admin() as superuser:
        names = superuser.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        for schema, table in names:
            rows = superuser.execute(f'SELECT t::text FROM "{schema}"."{table}" t').fetchall()
            yield f"{schema}.{table}", "\n".join(text for (text,) in rows if text)


def redis_content() -> str:
    with redis.Redis.from_url(django_settings.REDIS_URL) as client:
        return repr([(name, client.dump(name)) for name in client.scan_iter(count=1_000)])


def archived(cast: Cast) -> str:
    file = io.BytesIO()
    with tenant_context(cast.acme):
        archive.write(file, lambda done: None)
    with zipfile.ZipFile(file) as opened:
        return "\n".join(name + opened.read(name).decode() for name in opened.namelist())


LEAK = re.compile("|".join(re.escape(part) for part in (CANARY, CANARY[3:20], CANARY.encode().hex())))


def leaks(place: str, text: str) -> list[str]:
    return [f"{place}: …{text[max(0, found.start() - 200) : found.end() + 40]}" for found in LEAK.finditer(text)]


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_the_key_is_nowhere_but_where_it_is_sealed(
    committed_cast: Cast, provider: Provider, stub: Stub, log: Everything, kind: str
) -> None:
    cast = committed_cast
    pages = await in_thread(entered, cast, provider, stub, kind)
    runs: dict[str, Run] = {}
    with tenant_context(cast.acme):
        for name, steps in SCRIPTS.items():
            runs[name] = await call(cast, stub, steps)
        stored = await in_thread(lambda: list(Run.objects.all()))

    assert {call.headers.get("x-api-key") or call.headers["authorization"][7:] for call in stub.calls} == {CANARY}
    assert runs["answers"].text == "Hello." and runs["answers"].payer == "tenant"
    assert {name: run.status for name, run in runs.items() if name not in ("answers", "repeats")} == {
        name: "failed" for name in SCRIPTS if name not in ("answers", "repeats")
    }
    found = leaks("log", "\n".join(log.lines))
    for name, run in runs.items():
        if name != "repeats":  # the stub says it in two pieces on purpose: what a model writes is not ours to read
            found += leaks(f"text of {name}", run.text)
        if run.error:
            found += leaks(f"error of {name}", f"{run.error!r} {run.error} {vars(run.error)} {with_locals(run.error)}")
            found += leaks(f"explanation of {name}", str(execute.explain(run.error)))
    for place, text in await in_thread(lambda: list(tables())):
        found += leaks(place, text)
    for number, page in enumerate(pages):
        found += leaks(f"page {number}", page)
    found += leaks("redis", await in_thread(redis_content))
    found += leaks("archive", await in_thread(archived, cast))
    assert found == []

    assert any(f"•••• {FOUR}" in page for page in pages)
    assert len(stored) == len(SCRIPTS)
    assert {line.split()[0].split(".")[0] for line in log.lines} >= {kind, "httpx2", "httpcore2"}


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
@pytest.mark.parametrize("place", ["_client", "_transports", "_base_client", "_decoders"])
async def test_a_crash_inside_the_sdk_shows_no_key(
    committed_cast: Cast, provider: Provider, stub: Stub, log: Everything, monkeypatch: Any, kind: str, place: str
) -> None:
    """A fault of theirs or of the network, deep down, where a request with all its headers is in reach."""
    await in_thread(given, committed_cast, stub, kind)
    crash(monkeypatch, kind, place)

    error: BaseException | None = None
    with tenant_context(committed_cast.acme):
        try:
            run = await call(committed_cast, stub, SCRIPTS["answers"])
            error = run.error
        except Exception as crashed:
            error = crashed

    assert error is not None
    reporter = get_exception_reporter_class(None)(None, type(error), error, error.__traceback__)
    found = leaks("traceback", with_locals(error)) + leaks("report", reporter.get_traceback_text())
    found += leaks("page", reporter.get_traceback_html()) + leaks("log", "\n".join(log.lines))
    assert found == []


def crash(monkeypatch: Any, kind: str, place: str) -> None:
    def crashing(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("crashed on purpose")

    if place == "_client":
        monkeypatch.setattr("httpx2.AsyncClient.send", crashing)
    elif place == "_transports":
        monkeypatch.setattr("httpcore2._async.http11.AsyncHTTP11Connection._send_event", crashing)
    elif place == "_base_client":
        monkeypatch.setattr(f"{kind}._base_client.AsyncAPIClient._process_response", crashing)
    else:
        monkeypatch.setattr("httpx2.Response.aiter_bytes", crashing)


@pytest.mark.parametrize("debug", [False, True])
def test_a_page_that_crashes_with_the_key_in_hand_shows_none(
    committed_cast: Cast, provider: Provider, log: Everything, settings: Any, monkeypatch: Any, debug: bool
) -> None:
    settings.DEBUG = debug
    settings.DEBUG_PROPAGATE_EXCEPTIONS = False
    caught: list[Any] = []

    def crashing(self: Any, *args: Any, **kwargs: Any) -> None:
        caught.append(sys._getframe(1).f_locals["secret"].reveal())
        raise RuntimeError(f"crashed on purpose with {caught[0]}")

    monkeypatch.setattr("apps.tenants.provider_keys.write_key", crashing)
    client = Client(raise_request_exception=False)
    client.force_login(committed_cast.alice)

    response = client.post(f"{PAGE}add/", typed(provider))

    assert (response.status_code, caught) == (500, [CANARY])
    page = response.content.decode()
    assert leaks("page", page) == []
    assert ("crashed on purpose" in page) == debug
    error = response.exc_info[1]  # what a mail to the operators would say
    request = response.wsgi_request
    report = get_exception_reporter_class(request)(request, *response.exc_info, is_email=True)
    found = leaks("mail", report.get_traceback_text()) + leaks("mail", report.get_traceback_html())
    assert found == [] and "crashed on purpose" in report.get_traceback_text()
    assert "key" in report.get_traceback_text() and isinstance(error, RuntimeError)


def test_the_report_hides_what_any_form_sent_for_a_key(settings: Any) -> None:
    settings.DEBUG = True
    request = RequestFactory().post("/", {"key": CANARY, "name": "ours", "api_token": "token-0123456789"})
    try:
        local, inner = request.POST["key"], {"a": [request.POST["api_token"]]}
        raise ValueError(f"{local} {inner}")
    except ValueError:
        page = technical_500_response(request, *sys.exc_info()).content.decode()

    assert CANARY not in page and "token-0123456789" not in page
    assert "ours" in page


async def test_a_key_that_can_no_longer_be_opened_is_a_refused_one(
    committed_cast: Cast, provider: Provider, stub: Stub
) -> None:
    await in_thread(given, committed_cast, stub, "openai")

    def damage() -> None:
        with tenant_context(committed_cast.acme):
            ProviderKey.objects.update(sealed=b"damaged")
        sealing.forget()

    await in_thread(damage)
    with tenant_context(committed_cast.acme):
        run = await call(committed_cast, stub, SCRIPTS["answers"])

    assert (run.status, run.error_code) == ("failed", "key_refused")
    assert stub.calls == []


async def test_an_sdk_without_the_guarded_client_sends_a_word_that_opens_nothing(
    committed_cast: Cast, provider: Provider, stub: Stub
) -> None:
    await in_thread(given, committed_cast, stub, "openai")
    with tenant_context(committed_cast.acme):
        row = await in_thread(ProviderKey.objects.get)
        api_key = provider_keys.open_key(row)
    stub.script("model-a", *SCRIPTS["answers"])

    async with openai.AsyncOpenAI(api_key=api_key, base_url=stub.base_url("openai"), max_retries=0) as client:
        stream = await client.chat.completions.create(
            model="model-a", messages=[{"role": "user", "content": "Hello?"}], stream=True
        )
        await stream.close()

    assert stub.calls[-1].headers["authorization"] == f"Bearer {api_key}"
    assert CANARY not in str(api_key) + repr(vars(client))
