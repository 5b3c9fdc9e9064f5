"""The chain beyond single faults: retries, waits, circuits, room, reservations."""

import asyncio
from dataclasses import replace

import pytest

from apps.runs.gateway import client, errors
from apps.runs.gateway.errors import CircuitOpen, DeadlineExceeded, Interrupted, KeyRefused, TooLong
from apps.runs.gateway.types import Attempt, Deadlines, Endpoint, Message
from tests.gateway.conftest import QUESTION, Noted
from tests.gateway.stub import Cut, Fail, Finish, Refuse, Say, Stall

AT_ONCE = Deadlines(backoff_s=0)
LIMITED = "rate_limit_error"


def statuses(attempts):
    return [(str(attempt.target), attempt.status) for attempt in attempts]


@pytest.fixture
def chain(stub, openai, anthropic):
    """Anthropic's "first", with a small context, and then OpenAI's "second", which works."""
    stub.script("second", Say("Hello"), Finish())
    return [Endpoint(anthropic, "first", "circuit-1", 1000), Endpoint(openai, "second", "circuit-2", 100_000)]


async def test_what_fails_once_is_asked_again(stub, openai, heard):
    stub.scripts["m"] = (Refuse(503),)
    asked = asyncio.create_task(client.complete(QUESTION, [Endpoint(openai, "m")], on_delta=heard))
    await asyncio.to_thread(stub.next_call)
    stub.script("m", Say("Hello"), Finish())

    reply = await asked

    first, second = reply.attempts
    assert (first.status, first.usage, first.is_retry) == ("unavailable", None, False)
    assert (second.status, second.usage, second.is_retry) == ("ok", reply.usage, True)
    assert reply.latency_ms >= first.latency_ms + second.latency_ms


async def test_retry_after_is_obeyed_if_a_reader_can_wait_so_long(stub, chain):
    stub.script("first", Refuse(429, LIMITED, headers=(("retry-after-ms", "200"),)))
    circuits = Noted()

    reply = await client.complete(QUESTION, chain, circuits=circuits)

    assert statuses(reply.attempts) == [("anthropic/first", "rate_limited")] * 2 + [("openai/second", "ok")]
    assert reply.latency_ms >= 200
    assert circuits.waits == [0.2, 0.2, None]


@pytest.mark.parametrize("deadlines", [Deadlines(first_token_s=20), Deadlines(total_s=20)])
async def test_retry_after_beyond_the_deadline_means_the_next_at_once(stub, chain, deadlines):
    stub.script("first", Refuse(429, LIMITED, headers=(("retry-after", "21"),)))

    reply = await client.complete(QUESTION, chain, deadlines=deadlines)

    assert statuses(reply.attempts) == [("anthropic/first", "rate_limited"), ("openai/second", "ok")]
    assert reply.latency_ms < 10_000


async def test_an_open_circuit_is_passed_by(stub, chain):
    stub.script("first", Say("never"), Finish())
    circuits = Noted("circuit-1")

    reply = await client.complete(QUESTION, chain, circuits=circuits)

    assert statuses(reply.attempts) == [("anthropic/first", "circuit_open"), ("openai/second", "ok")]
    assert (len(stub.calls), circuits.left) == (1, [("circuit-2", "ok")])


async def test_all_circuits_open_is_said_so(stub, chain):
    with pytest.raises(CircuitOpen) as caught:
        await client.complete(QUESTION, chain, circuits=Noted("circuit-1", "circuit-2"))

    assert statuses(caught.value.attempts) == [("anthropic/first", "circuit_open"), ("openai/second", "circuit_open")]
    assert (stub.calls, caught.value.code) == ([], "circuit_open")


async def test_the_error_is_of_who_was_asked(stub, chain):
    stub.script("first", Refuse(401))

    with pytest.raises(KeyRefused) as caught:
        await client.complete(QUESTION, chain, circuits=Noted("circuit-2"))

    assert statuses(caught.value.attempts) == [("anthropic/first", "key_refused"), ("openai/second", "circuit_open")]
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


async def test_a_circuit_that_opens_meanwhile_is_not_asked_again(stub, openai):
    stub.script("m", Refuse(500))
    circuits = Noted()

    async def leave(permit, verdict, retry_after_s=None):
        circuits.open_ones = (permit.circuit,)

    circuits.leave = leave

    with pytest.raises(errors.ProviderUnavailable) as caught:
        await client.complete(QUESTION, [Endpoint(openai, "m", "c")], circuits=circuits, deadlines=AT_ONCE)

    assert type(caught.value) is errors.ProviderUnavailable
    assert [attempt.status for attempt in caught.value.attempts] == ["unavailable", "circuit_open"]


async def test_too_small_a_context_is_not_asked(stub, chain):
    long = replace(QUESTION, messages=(Message("user", "word " * 800),))

    reply = await client.complete(long, chain)

    assert statuses(reply.attempts) == [("anthropic/first", "skipped"), ("openai/second", "ok")]
    with pytest.raises(TooLong) as caught:
        await client.complete(long, chain[:1])
    assert statuses(caught.value.attempts) == [("anthropic/first", "skipped")]
    assert len(stub.calls) == 1


async def test_what_was_too_long_goes_only_where_there_is_more_room(stub, openai, chain):
    stub.script("first", Refuse(413))
    same = Endpoint(openai, "first", context_tokens=1000)

    reply = await client.complete(QUESTION, [chain[0], same, chain[1]])

    assert [attempt.status for attempt in reply.attempts] == ["too_long", "skipped", "ok"]


async def test_the_total_deadline_holds_for_the_whole_chain(stub, openai, chain):
    stub.script("first", Stall())
    deadlines = Deadlines(first_token_s=0.3, total_s=0.5, backoff_s=0)

    with pytest.raises(DeadlineExceeded) as caught:
        await client.complete(QUESTION, [chain[0], Endpoint(openai, "first"), chain[1]], deadlines=deadlines)

    assert [attempt.status for attempt in caught.value.attempts] == ["deadline_exceeded"] * 2
    assert sum(attempt.latency_ms for attempt in caught.value.attempts) < 1000


async def test_who_is_given_no_time_is_not_to_blame(stub, openai, chain):
    stub.script("first", Stall())
    stub.script("second", Stall())
    circuits = Noted()
    deadlines = Deadlines(first_token_s=0.5, total_s=0.8, backoff_s=2)  # too late to ask the first again

    with pytest.raises(DeadlineExceeded):
        await client.complete(QUESTION, chain, circuits=circuits, deadlines=deadlines)

    assert circuits.left == [("circuit-1", "failed"), ("circuit-2", "nothing")]


class TestReservations:
    async def asked(self, stub, chain, script, *, answer=True):
        stub.script("first", *script)
        asked: list[tuple[int, tuple[Attempt, ...]]] = []

        async def may_go_on(index, attempts):
            asked.append((index, attempts))
            return answer

        try:
            reply = await client.complete(QUESTION, chain, may_go_on=may_go_on, deadlines=AT_ONCE)
        except errors.GatewayError as error:
            return asked, error
        return asked, reply

    async def test_nobody_is_asked_while_nothing_was_used(self, stub, chain):
        asked, reply = await self.asked(stub, chain, [Refuse(500)])

        assert (asked, reply.text) == ([], "Hello")

    async def test_every_attempt_after_one_that_used_tokens_is_asked_for(self, stub, chain):
        asked, reply = await self.asked(stub, chain, [Cut()])  # Anthropic had said what it read

        assert [index for index, _ in asked] == [0, 1]
        assert [[attempt.usage.input_tokens for attempt in attempts] for _, attempts in asked] == [[120], [120, 120]]
        assert reply.text == "Hello"

    async def test_no_is_no(self, stub, chain):
        asked, error = await self.asked(stub, chain, [Cut()], answer=False)

        assert [index for index, _ in asked] == [0, 1]
        assert statuses(error.attempts) == [("anthropic/first", "unavailable")]
        assert len(stub.calls) == 1


class TestRestart:
    async def complete(self, chain, **more):
        """The reply or error, and what the reader saw; "|" is where it was told to begin anew."""
        seen: list[str] = []

        async def hear(text):
            seen.append(text)

        async def restart():
            seen.append("|")

        try:
            outcome = await client.complete(
                QUESTION, chain, on_delta=hear, on_restart=restart, deadlines=AT_ONCE, **more
            )
        except Interrupted as error:
            outcome = error
        return outcome, seen

    async def test_nobody_is_told_before_there_is_something_new(self, stub, chain):
        stub.script("first", Say("Hel"), Cut())
        stub.script("second", Refuse(500))

        error, seen = await self.complete(chain)

        assert seen == ["Hel"]
        assert (error.partial, str(error.target)) == ("Hel", "anthropic/first")
        assert [attempt.status for attempt in error.attempts] == ["unavailable"] * 3

    async def test_a_second_break_leaves_the_second_partial(self, stub, chain):
        stub.script("first", Say("Hel"), Cut())
        stub.script("second", Say("Good "), Say("day"), Cut())

        error, seen = await self.complete(chain)

        assert seen == ["Hel", "|", "Good ", "day"]
        assert (error.partial, str(error.target)) == ("Good day", "openai/second")

    async def test_an_answer_without_words_takes_the_old_ones_away(self, stub, chain):
        stub.script("first", Say("Hel"), Cut())
        stub.script("second", Finish())

        reply, seen = await self.complete(chain)

        assert (reply.text, seen) == ("", ["Hel", "|"])

    async def test_only_if_the_reservation_covers_it(self, stub, chain):
        stub.script("first", Say("Hel"), Cut())

        async def no(index, attempts):
            return False

        error, seen = await self.complete(chain, may_go_on=no)

        assert (error.partial, seen, len(stub.calls)) == ("Hel", ["Hel"], 1)


async def test_an_error_event_after_the_answer_was_complete_is_none(stub, openai, heard):
    stub.script("m", Say("Hello"), Finish(close=False), Fail("server_error"))

    reply = await client.complete(QUESTION, [Endpoint(openai, "m")], on_delta=heard)

    assert reply.text == "Hello"


async def test_an_empty_chain_is_a_mistake():
    with pytest.raises(ValueError, match="no model to ask"):
        await client.complete(QUESTION, [])
