"""Something of a tenant's in every place that can hold something, a marker in each; and a search for the marker."""

import base64
import json
import re
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from threading import Thread

import redis
from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from apps.billing.models import MeterEvent, PlanPeriod, Subscription
from apps.chat import stream
from apps.chat.models import Citation, Conversation, EvalCase, EvalReport, Feedback, Message
from apps.knowledge.add import store
from apps.knowledge.ingest import ingest
from apps.knowledge.models import Chunk, Document
from apps.knowledge.tasks import ingest_document
from apps.prompts.models import Experiment, ExperimentArm, Prompt, PromptVersion, Publication
from apps.runs.models import (
    Alert,
    Batch,
    BatchResult,
    BatchRow,
    BatchStep,
    Budget,
    CachedAnswer,
    ModelRoute,
    Policy,
    ProviderBatch,
    ProviderLine,
    Run,
    Spend,
)
from apps.tenants import exporting, traces
from apps.tenants.archive import owned_models
from apps.tenants.audit import record
from apps.tenants.context import tenant_context, user_context
from apps.tenants.models import (
    ApiKey,
    DataKey,
    DeadLetter,
    Domain,
    Effect,
    Export,
    Flag,
    Invitation,
    ProviderKey,
    Tenant,
    User,
)
from tests.conftest import admin, signed_in
from tests.waiting import messages

SECRET = "nobody may read this"


MINE, THEIRS = "acmesown", "globexsown"


def plant(tenant: Tenant, owner: User, marker: str) -> None:
    """A marker of lower-case letters and digits: it is part of names, addresses and texts."""
    with tenant_context(tenant), user_context(owner):
        Tenant.objects.filter(pk=tenant.pk).update(name=f"Name {marker}")
        plant_rows(owner, marker)
        plant_gateway(owner, marker)
        plant_batch(owner, marker)
        plant_keys(marker)
    client = signed_in(owner)
    assert marker in client.get(f"/t/{tenant.slug}/audit/").content.decode()
    operator = User.objects.create_superuser(f"operator-of-{tenant.slug}@corbel.example")
    LogEntry.objects.create(
        user=operator,
        content_type=ContentType.objects.get_for_model(Tenant),
        object_id=str(tenant.pk),
        object_repr=marker,
        action_flag=CHANGE,
        change_message=marker,
    )
    with tenant_context(tenant):
        export = exporting.ask_for_export(owner)
        exporting.make(export.id)
        empty = [model.__name__ for model in owned_models() if not model._base_manager.filter(tenant_id=tenant.id)]
    assert empty == [], "A new table: plant something of it here, so that it is searched for after an erasure."


def plant_rows(owner: User, marker: str) -> None:
    text = f"# The {marker}\n\nEverything that is known of {marker} is in here, and it is not much.\n"
    document = store(ContentFile(text.encode(), name=f"{marker}.md"), user=owner)
    assert isinstance(document, Document)
    ingest(document.id)
    Subscription.objects.create(plan=marker, generation="2026-11", status="cancelled")
    PlanPeriod.objects.create(plan=marker, generation="2026-11", starts_at=timezone.now(), metered_until=timezone.now())
    MeterEvent.objects.create(
        meter="usage_usd",
        hour=timezone.now(),
        identifier=marker,
        plan=marker,
        generation="2026-11",
        at=timezone.now(),
        value=1,
        status="unbilled",
    )
    default = PromptVersion.objects.live("answer")
    Prompt.objects.create(tenant_id=document.tenant_id, name=marker, feature="batch")
    version = PromptVersion.objects.create(
        tenant_id=document.tenant_id,
        prompt=default.prompt,
        number=1,
        body=f"Say {marker}.",
        checksum=marker,
        message=marker,
    )
    Publication.objects.create(tenant_id=document.tenant_id, prompt=default.prompt, version=version, by=owner)
    experiment = Experiment.objects.create(tenant_id=document.tenant_id, prompt=default.prompt, question=marker)
    arm = ExperimentArm.objects.create(
        tenant_id=document.tenant_id, experiment=experiment, version=version, position=1, weight=1
    )
    run = Run.objects.create(
        user=owner,
        feature="chat",
        provider="offline",
        model=marker,
        prompt_version=version,
        experiment_arm=arm,
        request_id=marker,
        attempts=[{"model": marker}],
    )
    conversation = Conversation.objects.create(user=owner, title=f"About {marker}")
    question = Message.objects.create(conversation=conversation, role=Message.Role.USER, text=f"What is {marker}?")
    answer = Message.objects.create(
        conversation=conversation, role=Message.Role.ASSISTANT, text=f"{marker} [1]", in_reply_to=question, run=run
    )
    chunk = Chunk.objects.get(document=document)
    Citation.objects.create(
        message=answer, document=document, chunk_id=chunk.id, number=1, heading=marker, quote=f"It is {marker}."
    )
    Feedback.objects.create(message=answer, run=run, rating=-1, reason="wrong", comment=f"It is not {marker}.")
    EvalCase.objects.create(message=answer, run=run, question=f"What is {marker}?", contains=[marker], made_by=owner)
    EvalReport.objects.create(day=timezone.now(), revision=marker)
    Invitation.objects.create(
        email=f"{marker}@elsewhere.example",
        invited_by=owner,
        token_digest=f"{SECRET} {marker}",
        expires_at=timezone.now() + timedelta(days=7),
    )
    Domain.objects.create(domain=f"{marker}.example", token=f"{SECRET}{marker}"[:32], last_error=marker)
    DeadLetter.unscoped.create(
        tenant_id=document.tenant_id,
        task=marker,
        task_id=marker,
        queue="ingest",
        error_class="Broken",
        error_message=marker,
        first_at=timezone.now(),
        last_at=timezone.now(),
    )
    Effect.objects.create(name=marker)
    record("document.added", document, marker=marker)


def plant_gateway(owner: User, marker: str) -> None:
    """How its models are called, and what that may cost. Nothing of it decides about a call that a test makes."""
    tenant = Tenant.objects.get(name=f"Name {marker}")
    today = timezone.now().date()
    ApiKey.objects.create(name=marker, digest=f"{SECRET} {marker}", last_four="1234", created_by=owner)
    data_key = DataKey.objects.create(wrapped=f"{SECRET} {marker}".encode(), master="the installation’s own")
    ProviderKey.objects.create(
        name=marker, sealed=f"{SECRET} {marker}".encode(), data_key=data_key, last_four="1234", is_on=False
    )
    Flag.objects.create(tenant=tenant, name=marker)
    ModelRoute.objects.create(tenant=tenant, tier="strong", provider=marker, model=marker, is_on=False)
    Policy.objects.create()
    budget = Budget.objects.create(scope="feature", subject=marker, cap_usd=1)
    Spend.objects.create(scope="feature", subject=marker, day=today, month=today.replace(day=1))
    Alert.objects.create(budget=budget, subject=marker, period_start=today, percent=50, spent_usd=1)
    CachedAnswer.objects.create(
        scope=marker,
        question=f"What is {marker}?",
        embedding=[0.1] * 384,
        answer=marker,
        run=Run.objects.get(request_id=marker),
        expires_at=timezone.now() + timedelta(days=1),
    )


def plant_batch(owner: User, marker: str) -> None:
    batch = Batch.objects.create(
        name=marker, created_by=owner, source_name=f"{marker}.csv", columns=[marker], row_count=1, pause_message=marker
    )
    run = Run.objects.get(request_id=marker)
    Run.objects.filter(pk=run.pk).update(batch=batch)
    mapping = {marker: {"column": marker}}
    step = BatchStep.objects.create(
        batch=batch, position=1, label=marker, prompt_version=run.prompt_version, mapping=mapping
    )
    row = BatchRow.objects.create(batch=batch, number=1, input={marker: marker}, error_message=marker)
    BatchResult.objects.create(row=row, step=step, run=run, status="ok", text=marker, value={marker: marker})
    file = ProviderBatch.objects.create(
        batch=batch, step=step, provider="openai", model=marker, external_id=marker, status="done", error_message=marker
    )
    ProviderLine.objects.create(provider_batch=file, row=row, step=step, run=run, outcome=marker, settled_at=Now())


def plant_keys(marker: str) -> None:
    """A reply under way, a cached page, and a task that no worker has taken yet."""
    reply = Message.objects.get(role=Message.Role.ASSISTANT).id

    @async_to_sync
    async def say() -> None:
        await stream.Writer(reply).put("delta", text=f"As for {marker}")
        await stream.redis().aclose()

    say()
    cache.set(traces.key("page"), marker, 600)
    ingest_document.delay(marker)


def places(marker: str) -> set[str]:
    """Where the marker is: tables of any schema, keys of Redis, files; each once."""
    return {*rows(marker), *keys(marker), *files(marker), *sessions(marker)}


def rows(marker: str) -> Iterator[str]:
    """Tables that hold it, in every schema, as a superuser sees them."""
    with admin() as connection:
        tables = connection.execute(
            """
            SELECT format('%I.%I', nspname, relname) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
            WHERE relkind IN ('r', 'p', 'm') AND nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
            """
        ).fetchall()
        for (table,) in tables:
            query = f"SELECT EXISTS (SELECT FROM {table} AS t WHERE t::text LIKE '%%' || %s || '%%')"
            if connection.execute(query, [marker]).fetchone() == (True,):
                yield table


def keys(marker: str) -> Iterator[str]:
    """Keys that hold it, in their name or their value."""
    with redis.Redis.from_url(settings.REDIS_URL) as server:
        for name in server.scan_iter():
            value = {
                b"string": lambda name: server.get(name),
                b"list": lambda name: server.lrange(name, 0, -1),
                b"set": lambda name: server.smembers(name),
                b"hash": lambda name: [*server.hkeys(name), *map(unpacked, server.hvals(name))],
                b"zset": lambda name: server.zrange(name, 0, -1),
                b"stream": lambda name: server.xrange(name),
            }[server.type(name)](name)
            if marker in str(name) or marker in str(value):
                yield f"redis {re.sub('(?<=queue:message).*', '', name.decode().replace(marker, '…'))}"


def unpacked(value: bytes) -> str:
    """A queued task with its arguments as text; anything else as it is."""
    if not value.startswith(b'{"body"'):
        return str(value)
    message = json.loads(value)
    return json.dumps(message) + base64.b64decode(message["body"]).decode()


def files(marker: str) -> Iterator[str]:
    for path in Path(settings.MEDIA_ROOT).rglob("*"):
        if marker in str(path) or (path.is_file() and marker.encode() in contents(path)):
            yield f"file {path.suffix}"


def contents(path: Path) -> bytes:
    if not zipfile.is_zipfile(path):
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        return b"".join(name.encode() + archive.read(name) for name in archive.namelist())


def sessions(marker: str) -> Iterator[str]:
    if any(marker in json.dumps(session.get_decoded()) for session in Session.objects.all()):
        yield "a session"


def fill(tenant: Tenant, runs: int) -> None:
    """Rows enough for a while's work."""
    with admin() as superuser:
        superuser.execute(
            """
            INSERT INTO runs_run (id, tenant_id, kind, purpose, feature, tier, route_reason, provider, model,
              provider_answered, model_answered, status, error_code, input_tokens, cached_tokens, cache_write_tokens,
              output_tokens, reasoning_tokens, is_estimated, reserved_usd, reserved_tokens, is_cached, saved_usd,
              attempts, payer, flags, request_id, finished_at)
            SELECT gen_random_uuid(), %s, 'completion', 'answer', 'chat', 'standard', '', 'p', 'm', '', '', 'ok', '', n,
              0, 0, 0, 0, false, 0, 0, false, 0, '[]', 'platform', '{}', '', now() FROM generate_series(1, %s) n
            """,
            [tenant.id, runs],
        )


def in_background(tenant: Tenant, work: Callable[[], None]) -> Thread:
    def run() -> None:
        with tenant_context(tenant):
            work()
        connection.close()

    thread = Thread(target=run)
    thread.start()
    return thread


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = timezone.now() + timedelta(seconds=60)
    while not is_so():
        assert timezone.now() < deadline
        time.sleep(0.01)  # the machine is for what we wait for


def status(tenant: Tenant) -> str | None:
    found = Tenant.objects.with_id(tenant.id)
    return found.status if found else None


def queued() -> dict[str, list[str]]:
    """The tasks that wait, with their arguments."""
    return {each["headers"]["task"]: json.loads(base64.b64decode(each["body"]))[0] for each in messages()}


def forget_all() -> None:
    with redis.Redis.from_url(settings.REDIS_URL) as server:
        for name in server.scan_iter():
            if not name.startswith(b"_kombu"):  # which queues there are
                server.delete(name)


def make(tenant: Tenant, user: User) -> Export:
    with tenant_context(tenant):
        export = exporting.ask_for_export(user)
        exporting.make(export.id)
        return Export.objects.get(pk=export.pk)
