"""Everything that can go wrong with a model call, as one tree.

    GatewayError
    ├── ProviderUnavailable      connection refused or cut, 408, 5xx, overload, nonsense on the wire
    │   ├── DeadlineExceeded     no first token, silence, or too long altogether; says which
    │   ├── Truncated            the stream ended politely without saying that it was finished
    │   └── CircuitOpen          not asked at all: it has failed too often just now
    ├── RateLimited              429 for requests or tokens per minute; carries retry_after_s
    ├── KeyRefused               401, 403
    ├── OutOfMoney               402, or a 429 or 400 that means credit or a spend limit
    ├── TooLong                  more than the model's context, 413
    ├── ContentFiltered          the provider refused the content before answering
    ├── ModelNotFound            404
    ├── BadRequest               400, 422: our fault, the same everywhere
    │   ├── SchemaRefused        the same from a server that may not know schemas; they can be put into words
    │   └── SchemaUnsupported    a schema for a provider that writes no structured answers
    ├── Expired                  a line of a batch that the provider's day was over for
    ├── Cancelled                a line of a batch that was cancelled before it was asked
    ├── NoResult                 a line of a batch that the provider said nothing of
    └── Interrupted              any of the above after the reader has seen the first words; carries the cause

What each says about itself:

    class                retryable  fallback  show  breaker
    ProviderUnavailable  yes        yes       no    counts
    CircuitOpen          no         yes       no    no
    RateLimited          yes        yes       yes   counts
    KeyRefused           no         yes       no    opens for that key
    OutOfMoney           no         yes       no    opens for that key
    TooLong              no         yes*      yes   no
    ContentFiltered      no         yes*      yes   no
    ModelNotFound        no         yes*      no    no
    BadRequest           no         no        no    no
    SchemaUnsupported    no         yes       yes   no
    Expired              yes        no        no    no
    Cancelled            no         no        no    no
    NoResult             yes        no        no    no
    Interrupted          no         no        yes   counts

retryable: the same call may work a little later (never before retry_after_s). fallback: another target may answer
(* one that fits, which is the router's to know). show: the person who asked can do something about it; the others
are for the operator. breaker: whether it speaks against the target, against the key, or against nobody.

Errors hold data. They never hold a key, a header or the SDK's own exception, which has both: `detail` is what the
provider wrote, shortened, with everything that looks like a key taken out.
"""

from typing import ClassVar, Literal

from .types import Attempt, Target, Usage

Breaker = Literal["no", "counts", "key"]
Deadline = Literal["first_token", "idle", "total"]


class GatewayError(Exception):
    """A model call that gave no complete answer.

    `partial` is what the reader had heard, `usage` what its last attempt used if anything is known (an estimate says
    so), and `attempts` everything that was tried, each with its own usage.
    """

    code: ClassVar[str] = "gateway_error"
    retryable: ClassVar[bool] = False
    fallback: ClassVar[bool] = False
    show: ClassVar[bool] = False
    breaker: ClassVar[Breaker] = "no"

    def __init__(
        self,
        target: Target,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        request_id: str = "",
        detail: str = "",
        partial: str = "",
        usage: Usage | None = None,
        attempts: tuple[Attempt, ...] = (),
    ) -> None:
        super().__init__()
        self.target = target
        self.status = status
        self.retry_after_s = retry_after_s
        self.request_id = request_id
        self.detail = detail
        self.partial = partial
        self.usage = usage
        self.attempts = attempts

    @property
    def provider(self) -> str:
        return self.target.provider

    def __str__(self) -> str:
        facts = [
            self.reason(),
            f"status {self.status}" if self.status else "",
            f"retry after {self.retry_after_s:g} s" if self.retry_after_s is not None else "",
            f"request {self.request_id}" if self.request_id else "",
            f"{len(self.partial)} characters heard" if self.partial else "",
        ]
        line = f"{self.target}: {', '.join(fact for fact in facts if fact)}"
        return f"{line}: {self.detail}" if self.detail else line

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"

    def reason(self) -> str:
        return self.code


class ProviderUnavailable(GatewayError):
    code = "unavailable"
    retryable = True
    fallback = True
    breaker: ClassVar[Breaker] = "counts"


class DeadlineExceeded(ProviderUnavailable):
    """We stopped waiting. `deadline` says for what; `after_s` how long it was."""

    code = "deadline_exceeded"

    def __init__(self, target: Target, *, deadline: Deadline, after_s: float) -> None:
        super().__init__(target)
        self.deadline = deadline
        self.after_s = after_s

    def reason(self) -> str:
        return f"{self.code} ({self.deadline}, {self.after_s:.3g} s)"


class Truncated(ProviderUnavailable):
    code = "truncated"


class CircuitOpen(ProviderUnavailable):
    code = "circuit_open"
    retryable = False
    breaker = "no"


class RateLimited(GatewayError):
    code = "rate_limited"
    retryable = True
    fallback = True
    show = True
    breaker = "counts"


class KeyRefused(GatewayError):
    code = "key_refused"
    fallback = True
    breaker = "key"


class OutOfMoney(GatewayError):
    code = "out_of_money"
    fallback = True
    breaker = "key"


class TooLong(GatewayError):
    code = "too_long"
    fallback = True
    show = True


class ContentFiltered(GatewayError):
    code = "content_filtered"
    fallback = True
    show = True


class ModelNotFound(GatewayError):
    code = "model_not_found"
    fallback = True


class BadRequest(GatewayError):
    code = "bad_request"


class SchemaRefused(BadRequest):
    code = "schema_refused"


class SchemaUnsupported(BadRequest):
    code = "schema_unsupported"
    fallback = True
    show = True


class Expired(GatewayError):
    code = "expired"
    retryable = True


class Cancelled(GatewayError):
    code = "cancelled"


class NoResult(GatewayError):
    code = "no_result"
    retryable = True


class Interrupted(GatewayError):
    """The answer broke off after its first words. `cause` is the error that ended it."""

    code = "interrupted"
    show = True
    breaker = "counts"

    def __init__(self, cause: GatewayError) -> None:
        super().__init__(
            cause.target,
            status=cause.status,
            retry_after_s=cause.retry_after_s,
            request_id=cause.request_id,
            detail=cause.detail,
            partial=cause.partial,
            usage=cause.usage,
            attempts=cause.attempts,
        )
        self.cause = cause

    def reason(self) -> str:
        return f"{self.code} by {self.cause.reason()}"
