"""What Postgres's catalog says about isolation, and that it would say so."""

import psycopg
import pytest
from django.apps import apps

from apps.tenants.owned import TenantOwned
from tests.conftest import admin

from . import catalog
from .driver import driver
from .planting import owned_models
from .report import size
from .world import World

# Models of ours whose rows belong to no tenant, and why. A new one belongs here or derives from TenantOwned.
NOBODYS = {
    "knowledge": {},
    "chat": {},
    "billing": {"StripeEvent": "comes before anybody knows whose it is; the app's role may add one and read none"},
    "tenants": {"Tenant": "is the tenant: its row is isolated by its id", "User": "may be in several workspaces"},
    "prompts": {},
    "runs": {"ModelPrice": "what providers ask is the same for everybody"},
}


def test_the_catalog_finds_nothing_to_say(app: psycopg.Connection) -> None:
    with app.cursor() as cursor:
        found = catalog.tables(cursor)
        size("table", len(found))
        assert catalog.faults(cursor) == []

    assert {name for _, _, name, _ in found} >= {model._meta.db_table for model in owned_models()} | {"tenants_tenant"}


def test_every_model_belongs_to_a_tenant_or_says_why_not() -> None:
    ours = {config.label for config in apps.get_app_configs() if config.name.startswith("apps.")}
    without = {
        (label, model.__name__)
        for label in ours
        for model in apps.get_app_config(label).get_models()
        if model not in owned_models()
    }

    assert without == {(label, name) for label, models in NOBODYS.items() for name in models}


def test_every_pointer_between_tenants_rows_compares_the_tenant(app: psycopg.Connection) -> None:
    """In every schema; also where Django makes no foreign key, because ours compares more."""
    pointers = {
        (model._meta.db_table, field.column)
        for model in owned_models()
        for field in model._meta.concrete_fields
        if field.related_model in owned_models()
    }
    with app.cursor() as cursor:
        loose = {
            (table, column)
            for oid, _, name, _ in catalog.tables(cursor)
            for table, column in pointers
            if table == name and column not in catalog.compared(cursor, oid)
        }

    assert loose == set(catalog.COMPARED_OTHERWISE)
    assert len(pointers) > len(loose)


PLANTED_FAULTS = {
    "CREATE TABLE planted (id uuid, tenant_id uuid)": [
        "public.planted: row-level security is not enabled",
        "public.planted: row-level security is not forced",
        "public.planted: no policy holds its rows to the tenant, both to read and to write",
    ],
    "ALTER TABLE runs_run NO FORCE ROW LEVEL SECURITY": ["public.runs_run: row-level security is not forced"],
    "ALTER TABLE runs_run DISABLE ROW LEVEL SECURITY": ["public.runs_run: row-level security is not enabled"],
    "ALTER POLICY tenant_isolation ON runs_run WITH CHECK (true)": [
        "public.runs_run: no policy holds its rows to the tenant, both to read and to write",
        "public.runs_run: the policy tenant_isolation opens it wider, and no reason is listed",
        "public.runs_run: the policy tenant_isolation opens it wider for writing",
    ],
    "CREATE POLICY planted ON runs_run FOR SELECT USING (true)": [
        "public.runs_run: the policy planted opens it wider, and no reason is listed",
    ],
    "ALTER TABLE chat_citation ADD CONSTRAINT planted FOREIGN KEY (document_id) REFERENCES knowledge_document": [
        "chat_citation: the foreign key planted to knowledge_document doesn't compare tenants",
    ],
    "CREATE VIEW planted AS SELECT * FROM runs_run": ["planted: not security_invoker"],
    "CREATE MATERIALIZED VIEW planted AS SELECT 1": ["planted: a materialized view"],
    "CREATE FUNCTION planted() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'": [
        "planted() is SECURITY DEFINER, and no reason is listed",
        "planted() is SECURITY DEFINER, and its search_path is not pinned",
    ],
    "CREATE SCHEMA planted; CREATE TABLE planted.runs_run (tenant_id uuid)": [
        "planted.runs_run: row-level security is not enabled",
        "planted.runs_run: row-level security is not forced",
        "planted.runs_run: no policy holds its rows to the tenant, both to read and to write",
    ],
}


@pytest.mark.parametrize("statement", PLANTED_FAULTS)
def test_the_catalog_notices(world: World, statement: str) -> None:
    with driver("owner") as owner, owner.cursor() as cursor:
        cursor.execute(statement)
        found = catalog.faults(cursor)
        owner.rollback()

    assert found == PLANTED_FAULTS[statement]


@pytest.mark.parametrize("statement", ["ALTER ROLE corbel_app BYPASSRLS", "GRANT corbel_platform TO corbel_app"])
def test_the_catalog_notices_a_role_that_may_more(world: World, statement: str) -> None:
    with admin() as superuser, superuser.transaction(force_rollback=True), superuser.cursor() as cursor:
        cursor.execute(statement)
        found = catalog.faults(cursor)

    assert found in (
        ["the role corbel_app has other attributes than it should: [True, False, False, False, False, True]"],
        ["corbel_app may act as corbel_platform"],
    )


def test_every_owned_model_derives_from_the_base() -> None:
    """Its manager is the first lock. Rows of these may have no tenant, and their queries say so."""
    others = {model.__name__ for model in owned_models() if not issubclass(model, TenantOwned)}

    prompts = {"Prompt", "PromptVersion", "Publication", "Experiment", "ExperimentArm"}
    assert others == prompts | {"DeadLetter", "Flag", "ModelRoute"}
