"""Search in a corpus: a throw-away workspace with its documents, and what the right ones' ranks are worth."""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from . import workspaces
from .bad import shown
from .corpus import Corpus, CorpusDocument, holds
from .produced import Produced
from .suite import Test

if TYPE_CHECKING:
    from apps.tenants.models import Tenant

DEPTH = 10

Loaded = tuple["Tenant", dict[UUID, str]]
"""The workspace, and the corpus's id of each of its documents."""


def load(corpus: Corpus) -> Loaded:
    """A workspace with the corpus's documents, read as uploads are. Raises Bad for one that can't be read."""
    from apps.tenants.context import tenant_context
    from apps.tenants.models import User
    from apps.tenants.signup import create_workspace

    owner = User.objects.create_user(f"{corpus.name}-{uuid4().hex[:8]}@example.com", None)
    workspace = create_workspace(corpus.name, owner=owner)
    with tenant_context(workspace):
        where = f"{shown(corpus.folder / 'corpus.jsonl')}, {{!r}}"
        return workspace, {
            workspaces.add(filename(each), each.text.encode(), where=where.format(each.id)): each.id
            for each in corpus.documents
        }


def filename(document: CorpusDocument) -> str:
    """What it is called as a file: search reads titles, too."""
    name = re.sub(r"[^\w .,'&()-]+", " ", document.title)[:100].strip()
    return f"{name or document.id}.md"


async def find(test: Test) -> Produced:
    from apps.knowledge.search import search
    from apps.tenants.threads import in_thread

    return Produced(passages=await in_thread(search, test.vars["question"], limit=DEPTH))


def score(test: Test, produced: Produced, ids: dict[UUID, str], *, given: int) -> dict[str, float]:
    """`given` is how many passages a model is given, of which one must hold the answer."""
    ranking = [ids[hit.document_id] for hit in produced.passages]
    right = {*test.vars["relevant"]}
    scores = {
        "recall@5": recall(ranking[:5], right),
        "recall@10": recall(ranking[:10], right),
        "mrr@10": reciprocal_rank(ranking[:10], right),
    }
    if answer := test.vars["answer"]:
        scores["context"] = float(any(holds(hit.text, answer) for hit in produced.passages[:given]))
    return scores


def recall(ranking: Iterable[str], right: set[str]) -> float:
    return len({*ranking} & right) / len(right)


def reciprocal_rank(ranking: Sequence[str], right: set[str]) -> float:
    return next((1 / rank for rank, document in enumerate(ranking, 1) if document in right), 0.0)
