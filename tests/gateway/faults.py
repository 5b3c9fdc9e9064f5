"""Every way in which a provider fails, and what must come of it: the table that the tests of single attempts, of the
chain and of whole runs go through. Sources: the error pages of both providers, and what was seen on the wire."""

from dataclasses import dataclass

from tests.gateway.stub import Cut, EndEarly, Fail, Finish, Garbage, Refuse, Say, Stall, Step, Wait

CREDIT = Refuse(400, "invalid_request_error", message="Your credit balance is too low to access the API.")
QUOTA = Refuse(429, "insufficient_quota", "insufficient_quota", message="You exceeded your current quota.")


@dataclass(frozen=True)
class Fault:
    """`steps` are what the stub does, `code` our error's; `tries` how often it is asked before the next in the chain.

    `verdict` is what the breaker hears. `when` says if it happens before the first content or after it.
    """

    name: str
    code: str
    steps: tuple[Step, ...] = ()
    tries: int = 1
    falls_back: bool = True
    verdict: str = "nothing"
    when: str = "before"
    sdks: tuple[str, ...] = ("openai", "anthropic")

    def script(self) -> tuple[Step, ...]:
        return self.steps if self.when == "before" else (Say("Hel"), Say("lo"), *self.steps)

    def after(self) -> "Fault":
        """The same after the first words: nothing is asked twice, and without a restart nobody else either."""
        verdict = "nothing" if self.name == "slow drip" else "failed"  # it was never silent
        return Fault(self.name, self.code, self.steps, 1, False, verdict, "after", self.sdks)

    def __str__(self) -> str:
        return f"{self.name}, {self.when}".replace(" ", "_")


def transient(name: str, *steps: Step, code: str = "unavailable", sdks: tuple[str, ...] = Fault.sdks) -> Fault:
    return Fault(name, code, steps, tries=2, verdict="failed", sdks=sdks)


REFUSALS = (
    Fault("400", "bad_request", (Refuse(400),), falls_back=False),
    Fault("401", "key_refused", (Refuse(401),), verdict="key"),
    Fault("402", "out_of_money", (Refuse(402),), verdict="key"),
    Fault("403", "key_refused", (Refuse(403),), verdict="key"),
    Fault("404", "model_not_found", (Refuse(404),)),
    transient("408", Refuse(408)),
    Fault("413", "too_long", (Refuse(413),)),
    Fault("422", "bad_request", (Refuse(422),), falls_back=False),
    transient("429 rate", Refuse(429, "rate_limit_error"), code="rate_limited"),
    Fault("429 money", "out_of_money", (QUOTA,), verdict="key", sdks=("openai",)),
    Fault("400 money", "out_of_money", (CREDIT,), verdict="key", sdks=("anthropic",)),
    *(transient(str(status), Refuse(status)) for status in (500, 502, 503, 504)),
    transient("529", Refuse(529, "overloaded_error")),
    transient("connection refused"),
    transient("no such host"),
)
STREAMS = (
    transient("error event, overload", Fail("overloaded_error")),
    Fault("error event, our fault", "bad_request", (Fail("invalid_request_error"),), falls_back=False),
    transient("cut", Cut()),
    transient("malformed chunk", Garbage()),
    transient("clean truncation", EndEarly(), code="truncated"),
    transient("stall", Stall(), code="deadline_exceeded"),
)
FILTER = Fault("content filter", "content_filtered", (Finish("content_filter"),))
DRIP = Fault("slow drip", "deadline_exceeded", (*[Say("drip "), Wait(0.05)] * 100, Finish()))

BEFORE = (*REFUSALS, *STREAMS, FILTER)
AFTER = tuple(fault.after() for fault in (*STREAMS, DRIP))


def by_sdk(faults: tuple[Fault, ...]) -> list[tuple[str, Fault]]:
    return [(sdk, fault) for fault in faults for sdk in fault.sdks]
