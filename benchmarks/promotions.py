"""Twenty promotions and demotions in a row, while processes write into the workspace that is being moved.

    python -m benchmarks.promotions [ROUNDS PASSAGES]

A writer keeps what it was told is written. Lost is what isn't there at the end, stranded what is in the wrong schema
after a move; an error is anything a writer was told that isn't success, and any row it didn't find. Another process
writes into another workspace, to see what a move costs the neighbours.
"""

import multiprocessing
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any
from uuid import UUID

from benchmarks.stage import stage

PAUSE_S = 0.01  # between two writes of a process

MANY = """
INSERT INTO knowledge_chunk
    (id, tenant_id, document_id, position, start, "end", heading, text, embedding, embedding_model)
SELECT gen_random_uuid(), %s, %s, n, 0, 1, '', repeat('word' || n || ' common words ', 30),
       array_agg(random() - 0.5)::real[]::vector, 'm'
FROM generate_series(1, %s) AS n, generate_series(1, 384) GROUP BY n
"""


@dataclass
class Log:
    """What one writer did, in the workspace that moves or in another."""

    moves: bool
    kept: set[UUID] = field(default_factory=set)
    counted: int = 0
    errors: list[str] = field(default_factory=list)
    took_ms: list[float] = field(default_factory=list)


def in_transactions(user: Any, log: Log) -> None:
    from django.db import transaction

    from apps.chat.models import Conversation, Message

    with transaction.atomic():
        conversation = Conversation.objects.create(user=user, title="x")
        message = Message.objects.create(conversation=conversation, role="user", text="x")
    log.kept |= {conversation.pk, message.pk}


def in_statements(user: Any, log: Log) -> None:
    from apps.chat.models import Conversation

    conversation = Conversation.objects.create(user=user, title="x")
    log.kept.add(conversation.pk)


def reading_what_was_written(user: Any, log: Log) -> None:
    from apps.chat.models import Conversation

    conversation = Conversation.objects.get(pk=Conversation.objects.create(user=user, title="x").pk)
    conversation.title = "y"
    conversation.save(update_fields=["title"])
    log.kept.add(conversation.pk)


def counting(user: Any, log: Log) -> None:
    from django.db.models import F

    from apps.knowledge.models import Document

    if Document.objects.update(page_count=F("page_count") + 1) != 1:
        raise LookupError("the document was not there")
    log.counted += 1


WRITERS = [in_transactions, in_statements, reading_what_was_written, counting]


def write(work: Callable[[Any, Log], None], log: Log, tenant_id: UUID, user_id: UUID, enough: Any, logs: Any) -> None:
    """One process: `work` over and over until it is enough."""
    import django

    django.setup()
    from apps.tenants.context import tenant_id_context
    from apps.tenants.models import User

    user = User.objects.get(pk=user_id)
    with tenant_id_context(tenant_id):
        while not enough.wait(PAUSE_S):
            began = time.perf_counter()
            try:
                work(user, log)
            except Exception as error:
                log.errors.append(repr(error))
            log.took_ms.append((time.perf_counter() - began) * 1000)
    logs.put(log)


def main(rounds: int, passages: int) -> None:
    with stage():
        from apps.tenants.models import User
        from apps.tenants.signup import create_workspace

        user = User.objects.create_user("owner@example.com", None)
        tenant, neighbour = (create_workspace(name, owner=user) for name in ("Moving", "Staying"))
        furnish(tenant, passages)
        context = multiprocessing.get_context("spawn")
        enough, logs = context.Event(), context.Queue()
        jobs = [(work, Log(moves=True), tenant) for work in WRITERS] + [(in_statements, Log(moves=False), neighbour)]
        processes = [
            context.Process(target=write, args=(work, log, home.pk, user.pk, enough, logs)) for work, log, home in jobs
        ]
        for process in processes:
            process.start()
        wait_for_writers(tenant, neighbour)
        seconds, stranded = move_to_and_fro(tenant, rounds)
        enough.set()
        written = [logs.get(timeout=60) for _ in processes]
        for process in processes:
            process.join()
        mine = [log for log in written if log.moves]
        print(f"\n{rounds} promotions and demotions of a workspace with {passages:,} passages,")
        print(f"{sum(len(log.took_ms) for log in mine):,} writes by {len(mine)} processes meanwhile\n")
        show_rows(lost(tenant, passages, mine), stranded, [error for log in written for error in log.errors])
        show_times(seconds, written)


def furnish(tenant: Any, passages: int) -> None:
    from django.db import connection

    from apps.knowledge.models import Document
    from apps.tenants.context import tenant_context

    with tenant_context(tenant), connection.cursor() as cursor:
        document = Document.objects.create(
            title="x", filename="x.txt", kind="txt", size_bytes=1, sha256="x", status="ready", chunk_count=passages
        )
        cursor.execute(MANY, [tenant.pk, document.pk, passages])


def wait_for_writers(*tenants: Any) -> None:
    from apps.chat.models import Conversation
    from apps.tenants.context import tenant_context

    for tenant in tenants:
        with tenant_context(tenant):
            while not Conversation.objects.exists():
                time.sleep(0.1)


def move_to_and_fro(tenant: Any, rounds: int) -> tuple[dict[str, list[float]], int]:
    """Seconds of each move, and how many rows were ever in the schema that their tenant had just left."""
    from django.core.management import call_command

    seconds: dict[str, list[float]] = {"promote": [], "demote": []}
    stranded = 0
    for _ in range(rounds):
        for command in seconds:
            began = time.monotonic()
            call_command(command, tenant.slug, stdout=sys.stderr)
            seconds[command].append(time.monotonic() - began)
            stranded += rows_left_behind(tenant)
    return seconds, stranded


def rows_left_behind(tenant: Any) -> int:
    """Rows in the pool, of a tenant with a silo. A demoted tenant's silo is gone with all that would be in it."""
    from apps.tenants.context import schema_of, tenant_context
    from apps.tenants.migrate import silo_models, silos
    from apps.tenants.move import Move

    if schema_of(tenant.pk) not in silos():
        return 0
    with tenant_context(tenant):
        return sum(Move(tenant, "public", "public").count(model) for model in silo_models())


def lost(tenant: Any, passages: int, written: list[Log]) -> int:
    from apps.chat.models import Conversation, Message
    from apps.knowledge.models import Chunk, Document
    from apps.tenants.context import tenant_context

    with tenant_context(tenant):
        there = {pk for model in (Conversation, Message) for pk in model.objects.values_list("pk", flat=True)}
        uncounted = sum(log.counted for log in written) - Document.objects.get().page_count
        return sum(len(log.kept - there) for log in written) + uncounted + passages - Chunk.objects.count()


def show_rows(lost: int, stranded: int, errors: list[str]) -> None:
    print(f"  lost {lost}, stranded {stranded}, errors {len(errors)}")
    for error in sorted(set(errors))[:5]:
        print(f"    {error}")


def show_times(seconds: dict[str, list[float]], written: list[Log]) -> None:
    for command, each in seconds.items():
        print(f"  {command:8} median {median(each):.2f} s, longest {max(each):.2f} s")
    print("  one write          median       99 %     99.9 %    longest")
    for name, moves in (("in it", True), ("next door", False)):
        took_ms = [took for log in written if log.moves == moves for took in log.took_ms]
        cuts = quantiles(took_ms, n=1000)
        figures = (median(took_ms), cuts[989], cuts[998], max(took_ms))
        print(f"    {name:12}" + "".join(f"{figure:8.1f} ms" for figure in figures))


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:] or (20, 500)))
