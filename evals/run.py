"""Runs suites through search, prompt, gateway and citations, under row-level security, with the configured provider."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .suite import Case, Suite

SEED = Path(__file__).resolve().parent.parent / "apps/chat/seed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One case's answer, and what it was: None where the case doesn't ask."""

    case: Case
    text: str
    is_correct: bool | None
    is_cited: bool | None
    is_refused: bool | None

    @property
    def passed(self) -> bool:
        return all(verdict is not False for verdict in (self.is_correct, self.is_cited, self.is_refused))


def run(suite: Suite) -> list[Outcome]:
    """Needs settings, services and the demo's workspaces; see `evals.__main__`."""
    return asyncio.run(run_cases(suite))


async def run_cases(suite: Suite) -> list[Outcome]:
    return [await run_case(case) for case in suite.cases]


async def run_case(case: Case) -> Outcome:
    from apps.chat.citing import cited
    from apps.chat.context import build_request
    from apps.knowledge.models import Document
    from apps.knowledge.search import search
    from apps.prompts.models import PromptVersion
    from apps.runs import execute
    from apps.tenants.context import tenant_context
    from apps.tenants.platform import find_workspace
    from apps.tenants.threads import in_thread

    def gather() -> tuple[Any, Any, Any]:
        hits = search(case.question, limit=6)
        version = PromptVersion.objects.live("answer")
        request = build_request(case.question, hits=hits, history=[], version=version, workspace_name=case.workspace)
        return request, hits, version

    with tenant_context(await in_thread(find_workspace, case.workspace)):
        request, hits, version = await in_thread(gather)
        reply = await execute.complete(request, feature="eval", prompt_version=version)
        sources = {hit.document_id for hit in cited(reply.text, hits).values()}
        files = await in_thread(lambda: set(Document.objects.filter(id__in=sources).values_list("filename", flat=True)))
    return Outcome(
        case=case,
        text=reply.text,
        is_correct=case.contains.lower() in reply.text.lower() if case.contains else None,
        is_cited=case.cites in files if case.cites else None,
        is_refused=not files if case.refuses else None,
    )


def shares(outcomes: list[Outcome]) -> dict[str, float]:
    """The share of cases that were correct, cited and rightly refused, among those that ask for it."""

    def share(verdicts: list[bool | None]) -> float:
        asked = [verdict for verdict in verdicts if verdict is not None]
        return sum(asked) / len(asked) if asked else 1.0

    return {
        "correct": share([outcome.is_correct for outcome in outcomes]),
        "cited": share([outcome.is_cited for outcome in outcomes]),
        "refused": share([outcome.is_refused for outcome in outcomes]),
    }
