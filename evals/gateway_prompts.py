"""Drivers of the prompts that the gateway asks by itself, through the functions that ask them in production.

route      {request}                     what the classifier says of it: a tier
judge      {question, passages, answer}  what a cheap model thinks of the answer that it is said to have given: a score
repair     {request, answer, form}       an answer that doesn't follow its form, handed back once: the object
"""

from dataclasses import replace
from typing import Any
from uuid import uuid4

from .bad import Bad
from .forms import FORMS
from .produced import FEATURE, Produced, of_run
from .suite import Test

OF_NO_USE = "the answer is of no use to the gateway"


async def route(test: Test) -> Produced:
    from apps.runs.execute import one_call
    from apps.runs.gateway.types import Message, Request
    from apps.runs.route import classify

    asked = test.given("request")["request"]
    request = Request(messages=(Message("user", asked),), max_output_tokens=100, question=asked)
    run, tier = await classify(request, feature=FEATURE, ask=one_call, run=None)
    return usable(of_run(run), None if tier is None else {"tier": str(tier)})


async def judge(test: Test) -> Produced:
    """The conversation is one that the chat would have, with the given passages, and an answer that nobody gave."""
    from apps.chat.context import build_request
    from apps.prompts.models import PromptVersion
    from apps.runs.cascade import judging, score_of
    from apps.runs.execute import one_call
    from apps.runs.models import Run
    from apps.tenants.models import Tier
    from apps.tenants.threads import in_thread

    given = test.given("question", "passages", "answer")
    hits = [passage(text) for text in given["passages"]]
    answering, judging_by = [await in_thread(PromptVersion.objects.live, name) for name in ("answer", "judge")]
    request = build_request(
        given["question"], hits=hits, history=[], version=answering, workspace_name=test.workspace.title()
    )
    answered = Run(status=Run.Status.OK)
    answered.text = given["answer"]
    run = await one_call(
        judging(request, answered, judging_by),
        feature=FEATURE,
        tier=Tier.CHEAP,
        purpose=Run.Purpose.JUDGE,
        prompt_version=judging_by,
    )
    score = score_of(run)
    return usable(replace(of_run(run), passages=hits), None if score is None else {"score": float(score)})


def passage(text: str) -> Any:
    """As search would have found it. Its first line is its heading if it begins with #."""
    from apps.knowledge.search import Hit

    first, _, rest = text.strip().partition("\n")
    heading, body = (first.lstrip("# "), rest.strip()) if first.startswith("#") else ("Handbook", text.strip())
    return Hit(
        chunk_id=uuid4(),
        document_id=uuid4(),
        title=heading,
        heading=heading,
        page=None,
        text=body,
        start=0,
        end=len(body),
        score=1.0,
        dense_score=1.0,
        lexical_score=1.0,
    )


async def repair(test: Test) -> Produced:
    """The first answer is the test's; what comes after it is the gateway's own way with such an answer."""
    from apps.runs.execute import one_call
    from apps.runs.gateway.types import Message, Request
    from apps.runs.models import Run
    from apps.runs.structured import structured

    given = test.given("request", "answer", "form")
    form = FORMS.get(given["form"])
    if form is None:
        raise Bad.at(test.path, test.line, f"there is no form {given['form']!r}", f"There are: {', '.join(FORMS)}.")
    first = Run(status=Run.Status.OK, tier="cheap")
    first.text, first.finish_reason = given["answer"], "stop"
    repairs: list[Run] = []

    async def ask(request: Request, **call: Any) -> Run:
        if call.get("purpose") != Run.Purpose.REPAIR:
            return first
        run = await one_call(request, feature=FEATURE, **call | {"parent": None})  # the first was never written
        repairs.append(run)
        return run

    request = Request(messages=(Message("user", given["request"]),), max_output_tokens=400, question=given["request"])
    run = await structured(ask, request, form)
    if not repairs:
        raise Bad.at(test.path, test.line, "the answer needs no repair", "Give one that doesn't follow its form.")
    return usable(of_run(run), run.value)


def usable(produced: Produced, value: Any) -> Produced:
    """With the object that the gateway makes of it; without one, nothing that was said counts."""
    return replace(produced, value=value, error=produced.error or ("" if value is not None else OF_NO_USE))
