import pytest

from apps.runs.gateway import errors
from apps.runs.gateway.errors import GatewayError
from apps.runs.gateway.providers.faults import fault, redacted, retry_after_s
from apps.runs.gateway.providers.openai import OpenAIProvider
from apps.runs.gateway.types import Deadlines, Target
from tests.gateway.conftest import KEY, QUESTION
from tests.gateway.stub import Fail, Refuse

CREDIT = "Your credit balance is too low to access the API."
LIMITS = "You have reached your specified API usage limits."

STATUSES = [
    (Refuse(400), errors.BadRequest),
    (Refuse(401), errors.KeyRefused),
    (Refuse(402), errors.OutOfMoney),
    (Refuse(403), errors.KeyRefused),
    (Refuse(404), errors.ModelNotFound),
    (Refuse(408), errors.ProviderUnavailable),
    (Refuse(413), errors.TooLong),
    (Refuse(422), errors.BadRequest),
    (Refuse(429, "rate_limit_error"), errors.RateLimited),
    (Refuse(500), errors.ProviderUnavailable),
    (Refuse(502), errors.ProviderUnavailable),
    (Refuse(503), errors.ProviderUnavailable),
    (Refuse(504), errors.ProviderUnavailable),
    (Refuse(529, "overloaded_error"), errors.ProviderUnavailable),
]
MEANINGS = [
    ("openai", Refuse(429, "insufficient_quota", "insufficient_quota"), errors.OutOfMoney),
    ("openai", Refuse(429, "requests", "billing_hard_limit_reached"), errors.OutOfMoney),
    ("openai", Refuse(429, "tokens", "rate_limit_exceeded", "Request too large for m: Limit 30000"), errors.TooLong),
    ("openai", Refuse(400, "invalid_request_error", "context_length_exceeded"), errors.TooLong),
    ("openai", Refuse(400, "invalid_request_error", "content_filter"), errors.ContentFiltered),
    ("openai", Refuse(400, "invalid_request_error", "model_not_found"), errors.ModelNotFound),
    ("anthropic", Refuse(400, "invalid_request_error", message=CREDIT), errors.OutOfMoney),
    ("anthropic", Refuse(400, "invalid_request_error", message=LIMITS), errors.OutOfMoney),
    ("anthropic", Refuse(403, "billing_error"), errors.OutOfMoney),
    ("anthropic", Refuse(400, "invalid_request_error", message="prompt is too long: 212 > 200"), errors.TooLong),
]
IN_STREAM = [
    ("openai", Fail("server_error"), errors.ProviderUnavailable),
    ("openai", Fail("insufficient_quota"), errors.OutOfMoney),
    ("openai", Fail("rate_limit_exceeded"), errors.RateLimited),
    ("anthropic", Fail("overloaded_error"), errors.ProviderUnavailable),
    ("anthropic", Fail("api_error"), errors.ProviderUnavailable),
    ("anthropic", Fail("rate_limit_error"), errors.RateLimited),
    ("anthropic", Fail("invalid_request_error"), errors.BadRequest),
]


async def failure(provider, heard) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await provider.complete(QUESTION, "m", heard, Deadlines())
    return caught.value


@pytest.mark.parametrize(("refusal", "expected"), STATUSES, ids=lambda value: getattr(value, "status", ""))
async def test_status_becomes_one_of_our_errors(stub, provider, heard, refusal, expected):
    stub.script("m", refusal)

    error = await failure(provider, heard)

    assert type(error) is expected
    assert (error.status, error.request_id, error.partial, error.usage) == (refusal.status, "req-1", "", None)
    assert error.target == Target(provider.name, "m")
    assert len(stub.calls) == 1  # the SDK retried nothing


@pytest.mark.parametrize(("name", "refusal", "expected"), MEANINGS)
async def test_one_status_can_mean_several_things(stub, openai, anthropic, heard, name, refusal, expected):
    stub.script("m", refusal)

    error = await failure({"openai": openai, "anthropic": anthropic}[name], heard)

    assert type(error) is expected


@pytest.mark.parametrize(("name", "event", "expected"), IN_STREAM)
async def test_error_inside_the_stream_before_content(stub, openai, anthropic, heard, name, event, expected):
    stub.script("m", event)

    error = await failure({"openai": openai, "anthropic": anthropic}[name], heard)

    assert type(error) is expected
    assert (error.status, error.partial) == (None, "")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [((("retry-after", "7"),), 7.0), ((("retry-after-ms", "1500"), ("retry-after", "2")), 1.5), ((), None)],
)
async def test_retry_after_is_kept(stub, provider, heard, headers, expected):
    stub.script("m", Refuse(429, "rate_limit_error", headers=headers))

    error = await failure(provider, heard)

    assert error.retry_after_s == expected


def test_retry_after_may_be_a_date():
    assert retry_after_s({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert retry_after_s({"retry-after": "soon"}) is None


async def test_nobody_listens(heard, unused_tcp_port):
    provider = OpenAIProvider(api_key=KEY, base_url=f"http://127.0.0.1:{unused_tcp_port}/v1")

    error = await failure(provider, heard)

    assert type(error) is errors.ProviderUnavailable
    await provider.aclose()


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
async def test_no_error_holds_the_key(stub, provider, heard, status):
    stub.script("m", Refuse(status, message=f"Incorrect API key provided: {KEY}, also sk-cor*********cdef."))

    error = await failure(provider, heard)

    everything = f"{error} {error!r} {vars(error)} {error.args}"
    assert KEY not in everything
    assert "sk-cor" not in everything
    # Nor does it lead to the SDK's exception, whose request has the key in its headers.
    assert (error.__cause__, error.__context__) == (None, None)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Bad key sk-proj-abc_123.", "Bad key [key]"),
        ("Authorization: Bearer eyJhbGciOi was refused", "Authorization: [key] was refused"),
        ("Key abcd****wxyz is wrong\n\n  here", "Key [key] is wrong here"),
        ("my-odd-secret is wrong", "[key] is wrong"),
    ],
)
def test_details_are_redacted(message, expected):
    assert redacted(message, secret="my-odd-secret") == expected


def test_details_are_short():
    assert len(redacted("word " * 1000)) == 301


def test_error_reads_well_in_a_log():
    error = fault(
        Target("openai", "gpt-x"),
        status=429,
        names={"rate_limit_exceeded"},
        message="Rate limit reached",
        headers={"retry-after": "20"},
        request_id="req-9",
    )

    assert str(error) == ("openai/gpt-x: rate_limited, status 429, retry after 20 s, request req-9: Rate limit reached")


def test_each_class_says_what_to_do():
    table = {
        kind: (kind.retryable, kind.fallback, kind.show, kind.breaker)
        for kind in (
            errors.ProviderUnavailable,
            errors.DeadlineExceeded,
            errors.Truncated,
            errors.CircuitOpen,
            errors.RateLimited,
            errors.KeyRefused,
            errors.OutOfMoney,
            errors.TooLong,
            errors.ContentFiltered,
            errors.ModelNotFound,
            errors.BadRequest,
            errors.SchemaRefused,
            errors.SchemaUnsupported,
            errors.Interrupted,
        )
    }

    assert table == {
        errors.ProviderUnavailable: (True, True, False, "counts"),
        errors.DeadlineExceeded: (True, True, False, "counts"),
        errors.Truncated: (True, True, False, "counts"),
        errors.CircuitOpen: (False, True, False, "no"),
        errors.RateLimited: (True, True, True, "counts"),
        errors.KeyRefused: (False, True, False, "key"),
        errors.OutOfMoney: (False, True, False, "key"),
        errors.TooLong: (False, True, True, "no"),
        errors.ContentFiltered: (False, True, True, "no"),
        errors.ModelNotFound: (False, True, False, "no"),
        errors.BadRequest: (False, False, False, "no"),
        errors.SchemaRefused: (False, False, False, "no"),
        errors.SchemaUnsupported: (False, True, True, "no"),
        errors.Interrupted: (False, False, True, "counts"),
    }
    assert len({kind.code for kind in table}) == len(table)
