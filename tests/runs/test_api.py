"""The API as a program uses it: OpenAI's own client over real HTTP; the provider behind it does as it is told."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import openai
import pytest
import uvicorn
from django.http import HttpResponse
from django.test import Client
from django.urls import clear_url_caches, path
from django.utils import timezone

from apps.runs.models import Budget, Run
from apps.tenants import api_keys
from apps.tenants.context import tenant_context, user_context
from apps.tenants.models import ApiKey, Domain, Flag, Tenant, User
from config import workspace_urls
from config.asgi import application
from tests.conftest import Cast, signed_in
from tests.gateway.stub import Cut, Finish, Refuse, Say, Stall, Stub
from tests.sweep.stage import default_connecting

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "platform"])
HELLO = [{"role": "user", "content": "Say hello."}]
HELLO_BODY = {"model": "auto", "messages": HELLO}


@pytest.fixture(scope="module")
def stubs() -> Iterator[Stub]:
    with Stub().serving() as stub:
        yield stub


@pytest.fixture
def stub(stubs: Stub, settings: Any) -> Stub:
    stubs.forget()
    settings.OPENAI_API_KEY, settings.OPENAI_BASE_URL = "sk-test", stubs.base_url("openai")
    stubs.script(settings.OPENAI_MODEL, Say("Hel"), Say("lo."), Finish())
    return stubs


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """Our own web process, in a thread."""
    server = uvicorn.Server(uvicorn.Config(application, port=0, lifespan="off", log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def until(is_so: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 20
    while not (found := is_so()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def key_of(tenant: Tenant, user: User, **fields: Any) -> tuple[ApiKey, str]:
    with tenant_context(tenant), user_context(user):
        return api_keys.make("nightly import", user, **fields)


@pytest.fixture
def token(committed_cast: Cast) -> str:
    return key_of(committed_cast.acme, committed_cast.alice)[1]


@pytest.fixture
def client(site: str, token: str, stub: Stub) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{site}/t/acme/api/v1", api_key=token, max_retries=0) as made:
        yield made


def only_run(cast: Cast) -> Run:
    with tenant_context(cast.acme):
        return Run.objects.select_related("api_key").get()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def post(token: str, body: Any = HELLO_BODY, slug: str = "acme", **more: Any) -> HttpResponse:
    return Client(raise_request_exception=False).post(
        f"/t/{slug}/api/v1/chat/completions", body, content_type="application/json", headers=bearer(token), **more
    )


# --- Answers


def test_an_answer_with_its_cost_and_its_run(client: openai.OpenAI, committed_cast: Cast, stub: Stub) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="auto",
        messages=[{"role": "developer", "content": "Be brief."}, *HELLO],
        temperature=0.2,
        max_completion_tokens=50,
    )
    answer, run = raw.parse(), only_run(committed_cast)

    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("Hello.", "stop")
    assert answer.id == f"chatcmpl-{run.pk.hex}" and raw.headers["x-request-id"] == str(run.pk)
    assert Decimal(raw.headers["x-corbel-cost-usd"]) == run.cost_usd > 0
    assert answer.model == run.model_answered
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (120, 7, 127)
    assert answer.usage.prompt_tokens_details.cached_tokens == 100
    assert (run.feature, run.api_key.name, run.user, run.status) == ("api", "nightly import", None, "ok")
    asked = stub.calls[0].body
    assert [(each["role"], each["content"]) for each in asked["messages"]] == [
        ("system", "Be brief."),
        ("user", "Say hello."),
    ]
    assert (asked["temperature"], asked.get("max_completion_tokens") or asked["max_tokens"]) == (0.2, 50)


def test_an_answer_as_it_is_written(client: openai.OpenAI, committed_cast: Cast) -> None:
    with client.chat.completions.with_streaming_response.create(
        model="standard", messages=HELLO, stream=True, stream_options={"include_usage": True}
    ) as raw:
        chunks = list(raw.parse())
        request_id = raw.headers["x-request-id"]
    run = only_run(committed_cast)

    said = [each.choices[0].delta.content for each in chunks if each.choices]
    assert said == ["", "Hel", "lo.", None]
    assert [each.choices[0].finish_reason for each in chunks if each.choices] == [None, None, None, "stop"]
    assert (chunks[-1].choices, chunks[-1].usage.total_tokens) == ([], 127)
    assert {each.id for each in chunks} == {f"chatcmpl-{run.pk.hex}"}
    assert (request_id, run.status, run.tier) == (str(run.pk), "ok", "standard")


def test_text_in_parts_and_the_end_of_the_stream(client: openai.OpenAI, site: str, token: str) -> None:
    parts = [{"type": "text", "text": "Say "}, {"type": "text", "text": "hello."}]
    body = {"messages": [{"role": "user", "content": parts}], "stream": True}

    answer = httpx.post(f"{site}/t/acme/api/v1/chat/completions", json=body, headers=bearer(token))

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "access-control-allow-origin" not in answer.headers
    lines = [line for line in answer.text.split("\n\n") if line]
    assert lines[-1] == "data: [DONE]"
    assert all(json.loads(line.removeprefix("data: "))["object"] == "chat.completion.chunk" for line in lines[:-1])


def test_models_are_listed_and_asked_by_name(client: openai.OpenAI, committed_cast: Cast, settings: Any) -> None:
    Tenant.objects.using("platform").filter(slug="acme").update(highest_tier="standard")
    names = [model.id for model in client.models.list()]
    assert names == ["auto", "cheap", "standard", settings.OPENAI_MODEL]

    client.chat.completions.create(model=settings.OPENAI_MODEL, messages=HELLO)

    assert only_run(committed_cast).model == settings.OPENAI_MODEL
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="gpt-nobody", messages=HELLO)
    assert caught.value.code == "model_not_found" and caught.value.param == "model"


def test_json_by_a_schema(client: openai.OpenAI, stub: Stub, settings: Any) -> None:
    stub.script(settings.OPENAI_MODEL, Say('{"word": "hello"}'), Finish())
    schema = {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]}
    form: Any = {"type": "json_schema", "json_schema": {"name": "greeting", "schema": schema, "strict": True}}

    answer = client.chat.completions.create(model="auto", messages=HELLO, response_format=form)

    assert json.loads(answer.choices[0].message.content) == {"word": "hello"}
    sent = stub.calls[0].body["response_format"]["json_schema"]
    assert (sent["name"], sent["schema"]["properties"]) == ("greeting", schema["properties"])


# --- Who hangs up has left


def test_a_program_that_leaves_a_stream_ends_the_call(
    client: openai.OpenAI, committed_cast: Cast, stub: Stub, settings: Any
) -> None:
    stub.script(settings.OPENAI_MODEL, Say("Once "), Stall())
    stream = client.chat.completions.create(model="auto", messages=HELLO, stream=True)
    next(chunk for chunk in stream if chunk.choices[0].delta.content)
    left = time.monotonic()

    stream.close()

    assert stub.calls[0].was_hung_up.wait(5)
    run = until(lambda: (found := only_run(committed_cast)).finished_at and found)
    assert time.monotonic() - left < 3
    assert (run.status, run.is_estimated) == ("stopped", True) and run.cost_usd > 0
    assert run.output_tokens > 0


@pytest.mark.parametrize("stream", [True, False])
def test_a_program_that_leaves_before_the_first_word_ends_the_call(
    client: openai.OpenAI, committed_cast: Cast, stub: Stub, settings: Any, stream: bool
) -> None:
    stub.script(settings.OPENAI_MODEL, Stall())
    with pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(model="auto", messages=HELLO, stream=stream, timeout=1)

    assert stub.calls[0].was_hung_up.wait(5)
    run = until(lambda: (found := only_run(committed_cast)).finished_at and found)
    assert run.status == "stopped"


# --- What goes wrong


def test_what_breaks_in_mid_answer_is_told_in_the_stream(
    client: openai.OpenAI, committed_cast: Cast, stub: Stub, settings: Any
) -> None:
    stub.script(settings.OPENAI_MODEL, Say("Once "), Cut())
    heard = []
    with pytest.raises(openai.APIError, match="connection to the model broke") as caught:
        for chunk in client.chat.completions.create(model="auto", messages=HELLO, stream=True):
            heard.append(chunk.choices[0].delta.content)

    assert heard == ["", "Once "]
    assert (caught.value.code, caught.value.type) == ("interrupted", "api_error")
    assert only_run(committed_cast).status == "failed"


@pytest.mark.parametrize("stream", [True, False])
def test_what_fails_before_the_first_word_is_a_status(
    client: openai.OpenAI, stub: Stub, settings: Any, stream: bool
) -> None:
    stub.script(settings.OPENAI_MODEL, Refuse(401, message="key sk-test is wrong"))
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model="auto", messages=HELLO, stream=stream)

    assert (caught.value.status_code, caught.value.code) == (502, "key_refused")
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert "sk-test" not in str(caught.value)


@pytest.mark.parametrize("stream", [True, False])
def test_a_budget_refuses_with_the_time_it_begins_anew(
    client: openai.OpenAI, committed_cast: Cast, stub: Stub, stream: bool
) -> None:
    with tenant_context(committed_cast.acme):
        Budget.objects.create(scope="api_key", cap_usd=Decimal("0.000001"), period="day")
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="auto", messages=HELLO, stream=stream)

    error, headers = caught.value, caught.value.response.headers
    assert (error.code, error.type) == ("budget_spent", "insufficient_quota")
    assert "This API key has reached its daily budget of $0.000001" in error.message
    assert 0 < int(headers["Retry-After"]) <= 86_400
    resets_at = error.body["resets_at"]
    assert resets_at.startswith((timezone.now() + timedelta(days=1)).strftime("%Y-%m-%dT00:00:00"))
    run = only_run(committed_cast)
    assert (run.status, headers["x-request-id"], stub.calls) == ("refused", str(run.pk), [])


def test_the_api_is_switched_off(client: openai.OpenAI, committed_cast: Cast) -> None:
    with tenant_context(committed_cast.acme):
        Flag.objects.create(tenant=committed_cast.acme, name="api", is_on=False)
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="auto", messages=HELLO)

    assert (caught.value.status_code, caught.value.code) == (503, "switched_off")
    assert caught.value.response.headers["x-should-retry"] == "false"


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        ("{", None, "no JSON"),
        (f'{{"messages": {DEEP}', None, "no JSON"),
        ('{"messages": [{"role": "user", "content": "\\ud800"}]}', None, "no JSON"),
        ("[]", None, "The body: Input should be an object"),
        ("{}", "messages", "messages: Field required"),
        ({"messages": []}, "messages", "at least 1"),
        ({"messages": "hello"}, "messages", "valid array"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role", "'system', 'developer', 'user'"),
        ({"messages": [{"role": "user"}]}, "messages.0.content", "Field required"),
        ({"messages": [{"role": "user", "content": None}]}, "messages.0.content", "valid string"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages", "no message of the user"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            "messages.0.content",
            "'image_url'. Send text only",
        ),
        ({"messages": HELLO, "n": 2}, "n", "must be 1"),
        ({"messages": HELLO, "temperature": 3}, "temperature", "less than or equal to 2"),
        ({"messages": HELLO, "temperature": "warm"}, "temperature", "valid number"),
        ('{"messages": [{"role": "user", "content": "x"}], "temperature": NaN}', "temperature", "temperature"),
        ({"messages": HELLO, "max_tokens": 0}, "max_tokens", "greater than or equal to 1"),
        ({"messages": HELLO, "max_tokens": True}, "max_tokens", "valid integer"),
        ({"messages": HELLO, "max_completion_tokens": 10**9}, "max_completion_tokens", "less than or equal"),
        ({"messages": HELLO, "stream": "yes"}, "stream", "valid boolean"),
        ({"messages": HELLO, "model": 7}, "model", "valid string"),
        ({"messages": HELLO, "tools": [{"type": "function"}]}, "tools", "are not taken"),
        ({"messages": HELLO, "response_format": {"type": "json_object"}}, "response_format.type", "json_schema"),
        (
            {"messages": HELLO, "response_format": {"type": "json_schema"}},
            "response_format.json_schema",
            "Send the schema",
        ),
    ],
)
def test_what_can_not_be_taken_is_said(token: str, stub: Stub, body: Any, param: str | None, says: str) -> None:
    answer = post(token, body)

    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
    assert error["param"] == param and says in error["message"]
    assert stub.calls == []


def test_a_schema_is_an_object_and_not_too_deep(token: str, stub: Stub) -> None:
    deep: Any = {"type": "string"}
    for _ in range(50):
        deep = {"type": "object", "properties": {"x": deep}}
    for schema, says in (({"type": "array"}, "an object with named fields"), (deep, "more than 40 deep")):
        form = {"type": "json_schema", "json_schema": {"schema": schema}}
        answer = post(token, {"messages": HELLO, "response_format": form})
        assert answer.status_code == 400 and says in answer.json()["error"]["message"]


def test_what_is_ignored(token: str, committed_cast: Cast, stub: Stub) -> None:
    """Fields that change nothing here, and nulls, which OpenAI's clients send for what isn't set."""
    ignored = {"seed": 1, "user": "x", "store": True, "metadata": {}, "logprobs": None, "tools": None, "n": None}

    assert post(token, {**HELLO_BODY, **ignored, "stream": None, "temperature": None}).status_code == 200


def test_a_body_that_is_too_long(token: str, stub: Stub, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 200

    answer = post(token, {"messages": [{"role": "user", "content": "x" * 300}]})

    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


def test_methods_and_addresses(token: str) -> None:
    client = Client(headers=bearer(token))
    wrong = client.get("/t/acme/api/v1/chat/completions")
    assert (wrong.status_code, wrong["Allow"]) == (405, "POST")
    for unknown in ("/t/acme/api/", "/t/acme/api/v1/models/", "/t/acme/api/v2/models", "/t/acme/api/v1/embeddings"):
        assert (client.get(unknown).status_code, client.get(unknown).json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("is_known", [True, False])
def test_a_database_that_is_away_closes_the_door(token: str, committed_cast: Cast, stub: Stub, is_known: bool) -> None:
    if is_known:
        assert post(token).status_code == 200
    with default_connecting({"pool": {"min_size": 1, "max_size": 2, "timeout": 0.5}}, HOST="127.0.0.1", PORT="1"):
        answer = post(token)

    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert answer.json()["error"]["code"] == "unavailable"
    assert len(stub.calls) == is_known


# --- Who gets in


def strangers(cast: Cast) -> dict[str, dict[str, Any]]:
    """What a request to Acme's API may show that opens nothing, by who shows it."""
    revoked, revoked_token = key_of(cast.acme, cast.alice)
    with tenant_context(cast.acme), user_context(cast.alice):
        api_keys.revoke(revoked)
    good = key_of(cast.acme, cast.alice)[1]
    secret = good.rpartition("_")[2]
    return {
        "nobody": {},
        "a revoked key": bearer(revoked_token),
        "an expired key": bearer(key_of(cast.acme, cast.alice, expires_at=timezone.now() - timedelta(seconds=1))[1]),
        "Globex's key": bearer(key_of(cast.globex, cast.charlie)[1]),
        "Acme's secret under Globex's id": bearer(f"corbel_{cast.globex.id.hex}_{secret}"),
        "an unknown workspace": bearer(f"corbel_{UUID(int=7).hex}_{secret}"),
        "another secret": bearer(f"corbel_{cast.acme.id.hex}_{secret[::-1]}"),
        "a key that is cut": bearer(good[:-1]),
        "a key and more": bearer(good + "x"),
        "another scheme": {"Authorization": f"Basic {good}"},
        "no scheme": {"Authorization": good},
        "garbage": bearer("corbel_\x00é'"),
        "the key in another header": {"X-Api-Key": good, "Cookie": f"key={good}"},
    }


@pytest.mark.parametrize("slug", ["acme", "nobody-has-this"])
def test_every_key_that_opens_nothing_is_answered_alike(committed_cast: Cast, stub: Stub, slug: str) -> None:
    answers = set()
    for headers in strangers(committed_cast).values():
        for method, where in (
            ("POST", "v1/chat/completions"),
            ("GET", "v1/models"),
            ("OPTIONS", "v1/models"),
            ("GET", ""),
        ):
            answer = Client(headers=headers).generic(
                method, f"/t/{slug}/api/{where}", json.dumps(HELLO_BODY), content_type="application/json"
            )
            answers.add((answer.status_code, answer["WWW-Authenticate"], answer.content))
            assert not answer.cookies and "Access-Control-Allow-Origin" not in answer.headers

    assert len(answers) == 1
    status, challenge, content = answers.pop()
    assert (status, challenge, json.loads(content)["error"]["code"]) == (401, "Bearer", "invalid_api_key")
    assert stub.calls == []
    for tenant in (committed_cast.acme, committed_cast.globex):
        with tenant_context(tenant):
            assert not Run.objects.exists()


def test_sessions_open_no_api_and_keys_no_page(committed_cast: Cast, token: str, stub: Stub) -> None:
    alice = signed_in(committed_cast.alice)
    assert alice.get("/t/acme/api/v1/models").status_code == 401
    assert alice.post("/t/acme/api/v1/chat/completions", HELLO_BODY, content_type="application/json").status_code == 401
    assert alice.get("/t/acme/documents/").status_code == 200  # and it is still signed in

    program = Client(headers=bearer(token))
    for page in ("/t/acme/", "/t/acme/documents/", "/t/acme/settings/api-keys/", "/t/acme/api", "/workspaces/"):
        assert program.get(page)["Location"].startswith("/accounts/login/")

    both = Client(headers=bearer(key_of(committed_cast.globex, committed_cast.charlie)[1]))
    both.force_login(committed_cast.alice)
    assert both.get("/t/acme/api/v1/models").status_code == 401


def test_a_workspaces_own_domain(committed_cast: Cast, token: str, stub: Stub) -> None:
    with tenant_context(committed_cast.acme):
        Domain.objects.create(domain="chat.acme.example", verified_at=timezone.now())
    there = Client(headers={"Host": "chat.acme.example", **bearer(token)})
    others = bearer(key_of(committed_cast.globex, committed_cast.charlie)[1])

    assert there.get("/api/v1/models").status_code == 200
    assert Client(headers={"Host": "chat.acme.example", **others}).get("/api/v1/models").status_code == 401
    assert there.get("/t/acme/api/v1/models").status_code == 404
    assert Client(headers=bearer(token)).get("/api/v1/models").status_code == 404


def test_a_key_that_is_in_memory_ends_at_once_when_it_is_revoked(committed_cast: Cast, stub: Stub) -> None:
    key, token = key_of(committed_cast.acme, committed_cast.alice)
    assert post(token).status_code == 200
    ApiKey.unscoped.using("platform").filter(pk=key.pk).update(revoked_at=timezone.now())  # as another process does

    models = Client(headers=bearer(token)).get("/t/acme/api/v1/models")
    answer = post(token)

    assert (models.status_code, answer.status_code) == (401, 401)
    assert models.content == answer.content
    assert len(stub.calls) == 1


@pytest.mark.parametrize("is_known", [True, False])
def test_a_workspace_that_is_closed_serves_no_program(
    committed_cast: Cast, token: str, stub: Stub, is_known: bool
) -> None:
    if is_known:
        assert post(token).status_code == 200
    Tenant.objects.using("platform").filter(slug="acme").update(status="suspended")

    answer = post(token)

    assert answer.status_code == (401 if is_known else 403)
    assert Client(headers=bearer(token)).get("/t/acme/api/v1/models").status_code == 403
    assert len(stub.calls) == is_known


def test_guessing_is_limited_by_address(committed_cast: Cast, token: str, stub: Stub) -> None:
    guess = f"corbel_{committed_cast.acme.id.hex}_{'x' * 43}"
    statuses = [post(guess).status_code for _ in range(31)]
    assert statuses == [401] * 30 + [429]
    limited = post(guess, REMOTE_ADDR="203.0.113.9")
    assert (limited.status_code, post(guess)["Retry-After"]) == (401, "60")


def unmarked(request: Any) -> HttpResponse:
    return HttpResponse("never")


urlpatterns = [path("api/unmarked", unmarked), *workspace_urls.urlpatterns]


def test_a_view_that_is_not_marked_is_never_called(token: str, settings: Any) -> None:
    settings.WORKSPACE_URLCONF = __name__
    clear_url_caches()
    with pytest.raises(Exception, match="is no view of the API"):
        Client(headers=bearer(token)).get("/t/acme/api/unmarked")
    clear_url_caches()
