"""What makes a test's output: the code that the product runs, under row-level security, through the gateway.

A driver is called in the test's tenant. It returns what was produced, with `error` where the run failed; it raises Bad
for a test that doesn't say what it needs.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from . import gateway_prompts
from .produced import FEATURE, Produced, of_run
from .suite import Test

Driver = Callable[[Test], Awaitable[Produced]]


async def answer(test: Test) -> Produced:
    """The chat's own way: search, request with the passages as data, model, citations."""
    from django.conf import settings

    from apps.chat.citing import cited
    from apps.chat.context import build_request
    from apps.knowledge.models import Document
    from apps.knowledge.search import search
    from apps.prompts.models import PromptVersion
    from apps.runs import execute
    from apps.tenants.context import require_tenant_id
    from apps.tenants.models import Tenant
    from apps.tenants.threads import in_thread

    question = test.given("question")["question"]

    def gather() -> tuple[Any, Any, Any]:
        workspace = Tenant.objects.get(pk=require_tenant_id())
        hits = search(question, limit=workspace.passages_per_answer or settings.PASSAGES_PER_ANSWER)
        version = PromptVersion.objects.live("answer")
        request = build_request(question, hits=hits, history=[], version=version, workspace_name=workspace.name)
        return request, hits, version

    def filenames(hits: list[Any]) -> dict[Any, str]:
        return dict(Document.objects.filter(id__in={hit.document_id for hit in hits}).values_list("id", "filename"))

    request, hits, version = await in_thread(gather)
    run = await execute.complete(request, feature=FEATURE, prompt_version=version, tier=version.forced_tier)
    marked = cited(run.text, hits)
    names = await in_thread(filenames, hits)
    return of_run(
        run,
        passages=hits,
        cited=marked,
        files={names[hit.document_id] for hit in marked.values()},
        given_files=set(names.values()),
    )


async def generic(test: Test) -> Produced:
    """Any other prompt: its words with the test's variables filled in, as the one message of a call."""
    from apps.chat.try_prompt import filled_in
    from apps.prompts.models import PromptVersion
    from apps.runs import execute
    from apps.tenants.context import require_tenant_id
    from apps.tenants.models import Tenant
    from apps.tenants.threads import in_thread

    def prepare() -> tuple[Any, Any]:
        version = PromptVersion.objects.live(test.prompt)
        values = {name: str(value) for name, value in test.given(*(each.name for each in version.declared)).items()}
        return filled_in(version, values, [], Tenant.objects.get(pk=require_tenant_id())), version

    request, version = await in_thread(prepare)
    run = await execute.complete(request, feature=FEATURE, prompt_version=version, tier=version.forced_tier)
    return of_run(run)


DRIVERS: dict[str, Driver] = {
    "answer": answer,
    "route": gateway_prompts.route,
    "judge": gateway_prompts.judge,
    "repair": gateway_prompts.repair,
}


def driver(prompt: str) -> Driver:
    return DRIVERS.get(prompt, generic)
