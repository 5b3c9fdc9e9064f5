"""What 10,000 pooled workspaces cost the one that is asking, compared with 10.

    python -m benchmarks.tenants [FEW MANY]

Two databases on one server hold FEW and MANY workspaces of the same content each; two processes take the same
requests in turns, so that whatever else the machine does disturbs both alike. A request goes through the whole
application, without a network. The figure is the ratio of the medians.
"""

import multiprocessing
import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import psycopg

from benchmarks.stage import close_connections, migrate, stage
from config import roles
from config.embedded import Services

ROUNDS = {
    "sign up": 12,
    "one more workspace": 30,
    "page": 60,
    "documents": 60,
    "search": 60,
    "migrate": 5,
    "new column": 3,
}
HANDBOOK = Path(__file__).parent.parent / "apps/chat/seed/acme"
DATABASE_OF = "corbel_benchmark_{}".format


@dataclass
class Peer:
    """A process with a database of its own, which does what it is told and says how long that took."""

    process: Any
    pipe: Connection

    def tell(self, what: str) -> Any:
        self.pipe.send(what)
        answer = self.pipe.recv()
        if isinstance(answer, BaseException):
            raise answer
        return answer


def main(few: int, many: int) -> None:
    with stage() as services:
        peers = [hire(services, size) for size in (few, many)]
        took: dict[str, list[list[float]]] = {what: [[], []] for what in ROUNDS}
        for what, rounds in ROUNDS.items():
            for turn in range(rounds + 1):
                for which in (0, 1) if turn % 2 else (1, 0):
                    seconds = peers[which].tell(what)
                    if turn:  # the first warms up
                        took[what][which].append(seconds)
        counts = [peer.tell("count") for peer in peers]
        for peer in peers:
            peer.tell("leave")
            peer.process.join()
    print(f"\nworkspaces {counts[0][0]:,} and {counts[1][0]:,}, passages {counts[0][1]:,} and {counts[1][1]:,}\n")
    print(f"{'milliseconds':<20}{'few':>8}{'p95':>8}{'many':>9}{'p95':>8}{'ratio':>8}")
    for what, (small, large) in took.items():
        a, b = median(small) * 1000, median(large) * 1000
        print(f"{what:<20}{a:>8.1f}{p95(small):>8.1f}{b:>9.1f}{p95(large):>8.1f}{b / a:>8.2f}")


def p95(seconds: list[float]) -> float:
    return quantiles(seconds, n=20)[-1] * 1000


def hire(services: Services, size: int) -> Peer:
    name = DATABASE_OF(size)
    roles.ensure(services.admin_url, database=name)
    urls = {key: roles.with_database(services.env[key], name) for key in services.env if key.startswith("DATABASE_")}
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    os.environ |= urls | {  # inherited; each settles on its own before it answers
        "ALLOWED_HOSTS": "testserver",
        "EMAIL_BACKEND": "django.core.mail.backends.dummy.EmailBackend",
    }
    process = context.Process(
        target=work, args=(theirs, size, roles.with_database(services.admin_url, name)), daemon=True
    )
    process.start()
    peer = Peer(process, ours)
    print(f"{size:,} workspaces made in {peer.tell('populate'):.0f} s", flush=True)
    return peer


def work(pipe: Connection, size: int, admin_url: str) -> None:
    migrate()
    from django.core.management import call_command

    call_command("prompts", "sync", verbosity=0)
    deeds = requests(size, admin_url)
    while (what := pipe.recv()) != "leave":
        try:
            began = time.perf_counter()
            answer = deeds[what]()
            pipe.send(time.perf_counter() - began if answer is None else answer)
        except BaseException as error:
            pipe.send(RuntimeError(f"{what}: {error!r}"))
    close_connections()
    pipe.send(None)


def requests(size: int, admin_url: str) -> dict[str, Callable[[], Any]]:
    """What can be asked, by name. Each returns its own figure, or None to be timed from outside."""
    from django.core.management import call_command
    from django.test import Client

    from apps.tenants.models import User

    chance, anybody = random.Random(size), Client()

    def timed(client: Client, method: str, path: str, *args: Any, **kwargs: Any) -> float:
        began = time.perf_counter()
        response = getattr(client, method)(path, *args, **kwargs)
        took_s = time.perf_counter() - began
        if response.status_code not in (200, 302) or (method == "post" and response.status_code != 302):
            raise RuntimeError(f"{path} answered {response.status_code}")
        return took_s

    def visit(path: str) -> float:
        number, client = chance.randrange(size), Client()
        client.force_login(User.objects.get(email=f"owner{number}@example.com"))
        return timed(client, "get", f"/t/w{number}/{path}")

    def sign_up() -> float:
        name, client = (
            f"{chance.getrandbits(40):x}",
            Client(REMOTE_ADDR=f"10.1.{chance.randrange(256)}.{chance.randrange(256)}"),
        )
        form = {"email": f"{name}@example.com", "password1": "correct horse battery", "workspace_name": name}
        return timed(client, "post", "/accounts/signup/", form)

    def one_more() -> float:
        anybody.force_login(User.objects.get(email="owner0@example.com"))
        return timed(anybody, "post", "/workspaces/new/", {"name": f"{chance.getrandbits(40):x}"})

    def new_column() -> float:
        call_command("migrate", "knowledge", "0003", verbosity=0)
        began = time.perf_counter()
        call_command("migrate", verbosity=0)
        return time.perf_counter() - began

    return {
        "populate": lambda: populate(size, admin_url),
        "count": lambda: count(admin_url),
        "sign up": sign_up,
        "one more workspace": one_more,
        "page": lambda: visit(""),
        "documents": lambda: visit("documents/"),
        "search": lambda: visit("search/?q=How+much+does+the+company+pay+for+a+desk"),
        "migrate": lambda: call_command("migrate", verbosity=0),
        "new column": new_column,
    }


def populate(size: int, admin_url: str) -> None:
    """`size` workspaces: one made by the application, and copies of all its rows."""
    from apps.tenants.context import tenant_context
    from apps.tenants.models import User
    from apps.tenants.signup import create_workspace

    owner = User.objects.create_user("owner0@example.com", None)
    first = create_workspace("w0", owner=owner, slug="w0")
    with tenant_context(first):
        furnish(owner)
    with psycopg.connect(admin_url) as admin:
        admin.execute("SET session_replication_role = replica")  # copies of sound rows: no key need be checked
        admin.execute(
            "CREATE TEMP TABLE other AS SELECT n, gen_random_uuid() AS id, gen_random_uuid() AS owner"
            f" FROM generate_series(1, {size - 1}) AS n"
        )
        for statement in copies(first, owner):
            admin.execute(statement)
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute("VACUUM ANALYZE")


def furnish(owner: Any) -> None:
    from django.core.files.base import ContentFile

    from apps.chat.models import Conversation, Message
    from apps.knowledge.add import store
    from apps.knowledge.ingest import ingest
    from apps.knowledge.search import search

    for path in sorted(HANDBOOK.glob("*.md"))[:2]:
        ingest(store(ContentFile(path.read_bytes(), name=path.name), user=owner).id)
    for number in range(3):
        conversation = Conversation.objects.create(user=owner, title=f"Question {number}")
        search("How long may I work from abroad?", limit=6, user=owner)
        for role in Message.Role:
            Message.objects.create(conversation=conversation, role=role, text="How long may I work from abroad?")


def copies(first: Any, owner: Any) -> list[str]:
    """SQL that copies the first workspace's rows to every other one, each row and pointer under a key of its own."""
    from django.apps import apps

    from apps.tenants.models import Tenant, User
    from apps.tenants.owned import TenantOwned

    def statement(model: Any, values: dict[str, str], where: str) -> str:
        columns = [field.column for field in model._meta.local_concrete_fields if not field.generated]
        chosen = ", ".join(values.get(column, f'source."{column}"') for column in columns)
        names = ", ".join(f'"{column}"' for column in columns)
        table = model._meta.db_table
        return f"INSERT INTO {table} ({names}) SELECT {chosen} FROM {table} source, other WHERE {where}"

    def key(column: str) -> str:
        return f"md5(other.id::text || source.{column}::text)::uuid"

    made = [
        statement(User, {"id": "other.owner", "email": "'owner' || n || '@example.com'"}, f"source.id = '{owner.id}'"),
        statement(
            Tenant,
            {"id": "other.id", "slug": "'w' || n", "schema_name": "'t_' || replace(other.id::text, '-', '')"},
            f"source.id = '{first.id}'",
        ),
    ]
    for model in apps.get_models():
        if not issubclass(model, TenantOwned):
            continue
        values = {"id": key("id"), "tenant_id": "other.id"}
        for field in model._meta.local_concrete_fields:
            if field.related_model is User:
                values[field.column] = "other.owner"
            elif (
                field.related_model
                and issubclass(field.related_model, TenantOwned)
                and field.related_model._meta.label != "prompts.PromptVersion"
            ):
                values[field.column] = key(field.column)
        made.append(statement(model, values, f"source.tenant_id = '{first.id}'"))
    return made


def count(admin_url: str) -> tuple[int, int]:
    with psycopg.connect(admin_url) as admin:
        row = admin.execute(
            "SELECT (SELECT count(*) FROM tenants_tenant), (SELECT count(*) FROM knowledge_chunk)"
        ).fetchone()
    return (row[0], row[1]) if row else (0, 0)


if __name__ == "__main__":
    main(*(map(int, sys.argv[1:3]) if len(sys.argv) == 3 else (10, 10_000)))
