"""What the database itself refuses, whatever the code asks for. tests/sweep asks it of every table."""

import asyncio
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction

from apps.chat.models import Conversation, Message
from apps.knowledge.models import Document
from apps.prompts.models import PromptVersion
from apps.runs.models import Run
from apps.tenants.checks import app_role_is_bound_by_rls
from apps.tenants.context import NoTenant, tenant_context, user_context
from apps.tenants.models import Membership
from apps.tenants.threads import in_thread
from tests.conftest import Cast

pytestmark = pytest.mark.pool_and_silo


def run_of(feature: str = "chat") -> Run:
    return Run.objects.create(feature=feature, provider="offline", model="extractive-1")


def test_rows_of_another_tenant_are_invisible_even_to_raw_sql(cast: Cast) -> None:
    with tenant_context(cast.acme):
        acme_run = run_of()
    with tenant_context(cast.globex), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM runs_run WHERE id = %s", [acme_run.id])

        assert cursor.fetchone() == (0,)
        assert Run.unscoped.count() == 0
        assert Run.unscoped.filter(pk=acme_run.pk).update(feature="stolen") == 0
        assert Run.unscoped.filter(pk=acme_run.pk).delete()[0] == 0
    with tenant_context(cast.acme):
        assert Run.objects.get().feature == "chat"


def test_without_a_tenant_there_are_no_rows_and_scoped_queries_raise(cast: Cast) -> None:
    with tenant_context(cast.acme):
        run_of()

    assert Run.unscoped.count() == 0
    with pytest.raises(NoTenant):
        Run.objects.count()


def test_a_row_cannot_be_written_into_another_tenant(cast: Cast) -> None:
    with tenant_context(cast.globex), pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
        Run.objects.create(tenant=cast.acme, feature="chat", provider="offline", model="x")


def test_a_row_cannot_point_at_another_tenants_row(cast: Cast) -> None:
    with tenant_context(cast.acme):
        conversation = Conversation.objects.create(user=cast.alice, title="Acme's")
    with tenant_context(cast.globex), pytest.raises(IntegrityError), transaction.atomic():
        Message.objects.create(conversation_id=conversation.id, role=Message.Role.USER, text="mine now")
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


@pytest.mark.django_db(transaction=True, databases=["default", "platform"])
def test_a_run_cannot_point_at_another_tenants_prompt(committed_cast: Cast) -> None:
    with tenant_context(committed_cast.globex):
        default = PromptVersion.objects.live("answer")
        theirs = PromptVersion.objects.create(
            tenant=committed_cast.globex, prompt=default.prompt, number=1, body="Theirs.", checksum="x"
        )
    with tenant_context(committed_cast.acme):
        assert Run.objects.create(feature="x", provider="p", model="m", prompt_version=default).pk
        with pytest.raises(IntegrityError, match="another tenant's"):
            Run.objects.create(feature="x", provider="p", model="m", prompt_version_id=theirs.pk)


def test_the_lexical_search_function_finds_nothing_without_a_tenant(cast: Cast) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM knowledge_lexical_search('anything', 10)")
        assert cursor.fetchone() == (0,)
        cursor.execute(
            """
            SELECT proowner::regrole::text, prosecdef, array(SELECT grantee::regrole::text FROM aclexplode(proacl)
              WHERE grantee <> proowner ORDER BY 1) FROM pg_proc WHERE proname = 'knowledge_lexical_search'
            """
        )
        assert set(map(str, cursor.fetchall())) == {str(("corbel_reader", True, ["corbel_app", "corbel_platform"]))}


def test_users_see_their_own_memberships_everywhere_and_no_others(cast: Cast) -> None:
    with user_context(cast.bob):
        assert [m.tenant for m in Membership.unscoped.of(cast.bob)] == [cast.acme]
        assert Membership.unscoped.filter(user=cast.charlie).count() == 0
    assert Membership.unscoped.count() == 0


def test_the_apps_role_cannot_step_around_isolation(db: None) -> None:
    assert app_role_is_bound_by_rls(databases=["default"]) == []
    for statement in (
        "ALTER TABLE runs_run DISABLE ROW LEVEL SECURITY",
        "TRUNCATE runs_run",
        "SET ROLE corbel_platform",
        "SET ROLE corbel_reader",
        "CREATE TABLE public.mine (id int)",
    ):
        with pytest.raises(ProgrammingError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


def test_a_role_that_bypasses_isolation_is_refused(transactional_db: None, settings: object) -> None:
    from django.db import connections

    parameters = connections["default"].settings_dict
    before = dict(parameters)
    connections["default"].close()
    connections["default"].close_pool()
    try:
        parameters.update(USER=connections["platform"].settings_dict["USER"])
        parameters.update(PASSWORD=connections["platform"].settings_dict["PASSWORD"])
        errors = app_role_is_bound_by_rls(databases=["default"])
    finally:
        connections["default"].close()
        connections["default"].close_pool()
        parameters.update(before)

    assert [error.id for error in errors] == ["tenants.E001"]
    assert "corbel_platform" in errors[0].msg


def test_savepoints_and_nesting_keep_the_right_tenant(cast: Cast) -> None:
    with tenant_context(cast.acme):
        run_of()
        with pytest.raises(ZeroDivisionError), transaction.atomic(), tenant_context(cast.globex):
            assert Run.unscoped.count() == 0
            raise ZeroDivisionError
        assert Run.unscoped.count() == 1
        with tenant_context(cast.globex):
            assert Run.unscoped.count() == 0
        assert Run.unscoped.count() == 1


def test_a_tenant_costs_one_statement_and_only_when_it_changes(cast: Cast, django_assert_num_queries: object) -> None:
    with tenant_context(cast.acme):
        Run.unscoped.count()
        with django_assert_num_queries(3):
            for _ in range(3):
                Run.unscoped.count()


def test_threads_that_share_a_pool_never_mix_tenants(committed_cast: Cast) -> None:
    tenants = [committed_cast.acme, committed_cast.globex]
    for tenant, feature in zip(tenants, ("acme", "globex"), strict=True):
        with tenant_context(tenant):
            run_of(feature)

    def look(number: int) -> bool:
        tenant = tenants[number % 2]
        with tenant_context(tenant):
            seen = list(Run.unscoped.values_list("feature", flat=True))
        connection.close()
        return seen == [tenant.slug]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(look, range(200)))


async def test_coroutines_that_share_threads_never_mix_tenants(committed_cast: Cast) -> None:
    def seen() -> list[str]:
        return list(Run.unscoped.values_list("feature", flat=True))

    async def look(number: int) -> bool:
        tenant = [committed_cast.acme, committed_cast.globex][number % 2]
        with tenant_context(tenant):
            await asyncio.sleep(0)
            return await in_thread(seen) == [tenant.slug]

    for tenant in (committed_cast.acme, committed_cast.globex):
        with tenant_context(tenant):
            await in_thread(run_of, tenant.slug)

    assert all(await asyncio.gather(*(look(number) for number in range(200))))


def test_same_bytes_are_one_document_per_tenant(cast: Cast) -> None:
    fields = {"title": "x", "filename": "x.txt", "kind": "txt", "size_bytes": 1, "sha256": uuid.uuid4().hex * 2}
    for tenant in (cast.acme, cast.globex):
        with tenant_context(tenant):
            Document.objects.create(**fields)
    with tenant_context(cast.acme), pytest.raises(IntegrityError), transaction.atomic():
        Document.objects.create(**fields)


def test_an_error_in_a_context_that_is_left_before_its_savepoint_ends(cast: Cast) -> None:
    with transaction.atomic():
        with pytest.raises(IntegrityError), transaction.atomic(), tenant_context(cast.acme):
            Membership.objects.create(user=cast.alice)

        with tenant_context(cast.globex):
            assert Membership.objects.count() == 1
