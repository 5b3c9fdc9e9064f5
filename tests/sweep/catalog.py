"""What the database's own catalog says about isolation: `faults` reads it and trusts no model and no migration."""

from typing import Any

OWN_ROW = {"tenants_tenant": "id"}  # tables of a tenant's rows without a column named tenant_id

# Policies that open a table wider than to the active tenant, and why that is right.
WIDER = {
    ("prompts_promptversion", "also_readable"): "default prompts belong to no tenant and are everybody's",
    ("prompts_prompt", "also_readable"): "prompts of the catalog belong to no tenant and are everybody's",
    ("prompts_publication", "also_readable"): "when a default was put in force is everybody's to know",
    ("prompts_experiment", "also_readable"): "experiments without a tenant are on everybody",
    ("prompts_experimentarm", "also_readable"): "so are their arms; what came of them is in runs, which aren't",
    ("tenants_flag", "also_readable"): "switches without a tenant are everybody's",
    ("runs_modelroute", "also_readable"): "routes without a tenant are everybody's",
    ("tenants_membership", "also_readable"): "users see their own places, to switch between workspaces",
    ("tenants_domain", "also_readable"): "a host name is looked up before there is a tenant; only verified ones",
    ("tenants_tenant", "also_readable"): "members see the workspaces they can switch to",
    ("knowledge_chunk", "search_reads"): "for corbel_reader alone, which can't log in and owns the search function",
}

# Functions that run as their owner, and why that is safe.
SECURITY_DEFINERS = {
    "tenants_drop_silo": "drops the schema of the connection's tenant, and only when that is being deleted",
    "knowledge_lexical_search": "@@ is not leakproof; it reads the tenant from the connection, and with none no rows",
}

# Pointers between tenants' rows that no foreign key compares, and what does.
COMPARED_OTHERWISE = {
    ("runs_run", "prompt_version_id"): "the trigger prompt_version_same_tenant: a default version has no tenant",
    ("runs_run", "experiment_arm_id"): "a trigger: an arm of everybody's experiment has no tenant",
    ("runs_batchstep", "prompt_version_id"): "a trigger: a default version has no tenant",
    ("prompts_publication", "version_id"): "a trigger: a default version has no tenant",
    ("prompts_promptversion", "prompt_id"): "a trigger: a prompt of the catalog has no tenant",
    ("prompts_publication", "prompt_id"): "the same",
    ("prompts_experiment", "prompt_id"): "the same",
    ("prompts_experimentarm", "experiment_id"): "a trigger: everybody's experiment has no tenant, nor have its arms",
    ("prompts_experimentarm", "version_id"): "a trigger: a default version has no tenant",
}

ISOLATED = "({column} = (( SELECT NULLIF(current_setting('app.tenant_id'::text, true), ''::text) AS \"nullif\"))::uuid)"

TABLES = """
SELECT c.oid, n.nspname, c.relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND (c.relname = ANY(%s) OR EXISTS (
    SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped))
ORDER BY 2, 3
"""

POLICIES = """
SELECT polname, polcmd, polpermissive, array(SELECT r::regrole::text FROM unnest(polroles) r),
       pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)
FROM pg_policy WHERE polrelid = %s
"""

# A foreign key from one table of tenants' rows to another that doesn't hold tenant against tenant.
LOOSE_KEYS = """
SELECT c.relname, k.conname, k.confrelid::regclass::text, array(
    SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum = ANY(k.conkey))
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class o ON o.oid = k.confrelid
WHERE k.contype = 'f' AND k.conrelid = ANY(%(tables)s) AND k.confrelid = ANY(%(tables)s)
  AND NOT EXISTS (
    SELECT FROM unnest(k.conkey, k.confkey) AS pair(here, there)
    JOIN pg_attribute h ON h.attrelid = c.oid AND h.attnum = here AND h.attname = 'tenant_id'
    JOIN pg_attribute t ON t.attrelid = o.oid AND t.attnum = there
    WHERE t.attname = CASE o.relname WHEN 'tenants_tenant' THEN 'id' ELSE 'tenant_id' END)
"""

# A column that a composite foreign key holds together with the tenant.
COMPARED = """
SELECT h.attname FROM pg_constraint k
JOIN pg_attribute h ON h.attrelid = k.conrelid AND h.attnum = ANY(k.conkey) AND h.attname <> 'tenant_id'
JOIN pg_attribute t ON t.attrelid = k.conrelid AND t.attnum = ANY(k.conkey) AND t.attname = 'tenant_id'
WHERE k.contype = 'f' AND k.conrelid = %s
"""

WRITABLE = """
SELECT attname::text FROM pg_attribute
WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
"""

# What could show rows as its owner sees them.
VIEWS = """
SELECT c.oid::regclass::text, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND (
  c.relkind = 'm' OR c.relkind = 'v' AND NOT coalesce('security_invoker=true' = ANY (c.reloptions), false))
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
"""

FUNCTIONS = """
SELECT p.oid::regprocedure::text, p.proname, coalesce(p.proconfig, '{}')
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE p.prosecdef AND n.nspname NOT IN ('pg_catalog', 'information_schema')
"""

ROLES = """
SELECT rolname, rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls
FROM pg_roles WHERE rolname ~ '^corbel_(app|owner|platform|reader)$' ORDER BY 1
"""
ATTRIBUTES = {  # may log in, superuser, may create roles, databases, replicate, bypasses row-level security
    "corbel_app": (True, False, False, False, False, False),
    "corbel_owner": (True, False, False, False, False, False),
    "corbel_platform": (True, False, False, False, False, True),
    "corbel_reader": (False, False, False, False, False, False),
}
MEMBERS = """
SELECT roleid::regrole::text, member::regrole::text, inherit_option, set_option FROM pg_auth_members
WHERE roleid::regrole::text ~ '^corbel_' AND NOT (SELECT rolsuper FROM pg_roles WHERE oid = member)
"""


def tables(cursor: Any) -> list[tuple[int, str, str, str]]:
    """Every table of tenants' rows, in every schema: its oid, schema, name, and the column that holds the tenant."""
    cursor.execute(TABLES, [list(OWN_ROW)])
    return [(oid, schema, name, OWN_ROW.get(name, "tenant_id")) for oid, schema, name in cursor.fetchall()]


def faults(cursor: Any) -> list[str]:
    """Everything in the database that one tenant's rows could get through to another; empty when all is well."""
    found = [fault for table in tables(cursor) for fault in faults_of_table(cursor, *table)]
    cursor.execute(LOOSE_KEYS, {"tables": [oid for oid, *_ in tables(cursor)]})
    found += [
        f"{table}: the foreign key {key} to {other} doesn't compare tenants"
        for table, key, other, columns in cursor
        if not any((table, column) in COMPARED_OTHERWISE for column in columns)
    ]
    cursor.execute(VIEWS)
    found += [f"{name}: {'a materialized view' if kind == 'm' else 'not security_invoker'}" for name, kind in cursor]
    cursor.execute(FUNCTIONS)
    for signature, name, settings in cursor.fetchall():
        if name not in SECURITY_DEFINERS:
            found.append(f"{signature} is SECURITY DEFINER, and no reason is listed")
        if not any(setting.startswith("search_path=pg_catalog, pg_temp") for setting in settings):
            found.append(f"{signature} is SECURITY DEFINER, and its search_path is not pinned")
    return found + faults_of_roles(cursor)


def faults_of_table(cursor: Any, oid: int, schema: str, name: str, column: str) -> list[str]:
    where, found = f"{schema}.{name}", []
    cursor.execute("SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE oid = %s", [oid])
    enabled, forced = cursor.fetchone()
    found += [] if enabled else [f"{where}: row-level security is not enabled"]
    found += [] if forced else [f"{where}: row-level security is not forced"]
    cursor.execute(POLICIES, [oid])
    policies = cursor.fetchall()
    isolated = ISOLATED.format(column=column)
    if not any((command, *conditions) == ("*", isolated, isolated) for _, command, _, _, *conditions in policies):
        found.append(f"{where}: no policy holds its rows to the tenant, both to read and to write")
    for policy, command, permissive, roles, using, check in policies:
        is_wider = permissive and {using, check} - {isolated, None}
        if is_wider and (name, policy) not in WIDER:
            found.append(f"{where}: the policy {policy} opens it wider, and no reason is listed")
        if is_wider and command != "r":
            found.append(f"{where}: the policy {policy} opens it wider for writing")
        if policy == "search_reads" and roles != ["corbel_reader"]:
            found.append(f"{where}: the policy {policy} is for {roles}, not for corbel_reader alone")
    return found


def faults_of_roles(cursor: Any) -> list[str]:
    cursor.execute(ROLES)
    found = [
        f"the role {name} has other attributes than it should: {attributes}"
        for name, *attributes in cursor
        if tuple(attributes) != ATTRIBUTES.get(name)
    ]
    cursor.execute(MEMBERS)
    return found + [
        f"{member} may act as {role}"
        for role, member, inherits, _ in cursor
        if (role, member, inherits) != ("corbel_reader", "corbel_owner", False)
    ]


def compared(cursor: Any, oid: int) -> set[str]:
    """The columns of a table that are held to the same tenant as their row."""
    cursor.execute(COMPARED, [oid])
    return {name for (name,) in cursor}
