"""Two versions of a prompt on the same input, side by side, before either is put in force. Each try is a run.

What a version is tried on depends on where its prompt is used: a question with the passages found for it, a request to
route, an answer to judge, an answer to mend. A prompt that no code of ours asks with is tried on its variables.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from apps.knowledge.search import Hit, search
from apps.prompts.models import PromptVersion
from apps.runs import execute
from apps.runs.cascade import judging
from apps.runs.gateway.types import Message, Request
from apps.runs.models import Run
from apps.runs.prompted import request_of
from apps.runs.route import classifying
from apps.runs.structured import Malformed, repairing
from apps.tenants.models import Tenant, User
from apps.tenants.threads import in_thread

from .citing import cited
from .context import build_request
from .passages import passages_json

FEATURE = "try"
Values = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Input:
    """One thing that is typed to try a prompt on."""

    name: str
    label: str
    example: str = ""
    is_long: bool = False


QUESTION = Input("question", "Question", "How many days of leave do we get?")
INPUTS: dict[str, tuple[Input, ...]] = {
    "answer": (QUESTION,),
    "route": (Input("question", "Request", "Compare our two travel policies: which is stricter?", is_long=True),),
    "judge": (QUESTION, Input("answer", "The answer to judge", "You get 28 days [1].", is_long=True)),
    "repair": (
        Input("question", "Request", "List the sizes that we sell, as JSON."),
        Input("answer", "The answer to mend", '{"sizes": "small, large"', is_long=True),
        Input("errors", "What is wrong with it, a line each", "sizes: Input should be a valid list", is_long=True),
    ),
}


@dataclass(frozen=True, slots=True)
class Trial:
    """What one version made of the input. `fault` says why nothing, `sources` are the passages that it cites."""

    version: PromptVersion
    run: Run
    fault: execute.Fault | None
    sources: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Tried:
    trials: tuple[Trial, ...]
    hits: list[Hit]


def inputs(version: PromptVersion) -> tuple[Input, ...]:
    found = INPUTS.get(version.prompt.name)
    if found is not None:
        return found
    return tuple(
        Input(each.name, each.description or each.name, each.example, is_long=each.kind in ("text", "json"))
        for each in version.declared
    )


async def try_versions(versions: list[PromptVersion], values: Values, *, user: User, workspace: Tenant) -> Tried:
    """Ask with each, at the same time and on the same passages. Raises BadPrompt for a value of the wrong type."""
    hits, requests = await in_thread(prepare, versions, values, user, workspace)
    runs = await asyncio.gather(
        *(
            execute.complete(request, feature=FEATURE, user=user, prompt_version=version, tier=version.forced_tier)
            for version, request in zip(versions, requests, strict=True)
        )
    )
    return Tried(tuple(trial(version, run, hits) for version, run in zip(versions, runs, strict=True)), hits)


def prepare(
    versions: list[PromptVersion], values: Values, user: User, workspace: Tenant
) -> tuple[list[Hit], list[Request]]:
    name = versions[0].prompt.name
    hits: list[Hit] = []
    if name in ("answer", "judge"):
        limit = workspace.passages_per_answer or settings.PASSAGES_PER_ANSWER
        hits = search(values["question"], limit=limit, user=user)
    build = BUILDERS.get(name, filled_in)
    return hits, [build(version, values, hits, workspace) for version in versions]


def answering(version: PromptVersion, values: Values, hits: list[Hit], workspace: Tenant) -> Request:
    return build_request(values["question"], hits=hits, history=[], version=version, workspace_name=workspace.name)


def routing(version: PromptVersion, values: Values, hits: list[Hit], workspace: Tenant) -> Request:
    asked = Request((Message("user", values["question"]),), settings.MAX_OUTPUT_TOKENS, question=values["question"])
    return classifying(asked, version)


def judged(version: PromptVersion, values: Values, hits: list[Hit], workspace: Tenant) -> Request:
    asked = answering(PromptVersion.objects.live("answer"), values, hits, workspace)
    return judging(asked, said(values["answer"]), version)


def mended(version: PromptVersion, values: Values, hits: list[Hit], workspace: Tenant) -> Request:
    asked = Request((Message("user", values["question"]),), settings.MAX_OUTPUT_TOKENS, question=values["question"])
    errors = tuple(line.strip() for line in values["errors"].splitlines() if line.strip())
    broken = said(values["answer"])
    broken.error = Malformed(errors, broken.text)
    return repairing(asked, broken, version)


def said(text: str) -> Run:
    """A run that was never made, of a model that said this."""
    run = Run()
    run.text = text
    return run


def filled_in(version: PromptVersion, values: Values, hits: list[Hit], workspace: Tenant) -> Request:
    return request_of(version, {variable.name: values.get(variable.name, "") for variable in version.declared})


BUILDERS: dict[str, Callable[[PromptVersion, Values, list[Hit], Tenant], Request]] = {
    "answer": answering,
    "route": routing,
    "judge": judged,
    "repair": mended,
}


def trial(version: PromptVersion, run: Run, hits: list[Hit]) -> Trial:
    fault = execute.explain(run.error) if run.status in (Run.Status.FAILED, Run.Status.REFUSED) else None
    marked = cited(run.text, hits)
    return Trial(version, run, fault, [each for each in passages_json(hits) if each["number"] in marked])
