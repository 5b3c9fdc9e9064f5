"""Row-level security as migration operations.

    operations = [Isolate("knowledge_document"), SameTenant("knowledge_chunk", "knowledge_document")]

Table names are unqualified on purpose: the same migration runs in `public` and in a silo's own schema.
"""

from django.db.migrations.operations import RunSQL

TENANT = "(SELECT nullif(current_setting('app.tenant_id', true), ''))::uuid"
OWN = "user_id = (SELECT nullif(current_setting('app.user_id', true), ''))::uuid"


def Isolate(table: str, *, column: str = "tenant_id", readable: str = "") -> RunSQL:  # noqa: N802  (reads as an operation)
    """Only the active tenant's rows can be read or written, by the table's owner too. No tenant, no rows.

    column: holds the tenant's id.
    readable: an SQL condition under which rows may be read as well, such as "tenant_id IS NULL".
    """
    own = f"{column} = {TENANT}"
    also = f"CREATE POLICY also_readable ON {table} FOR SELECT USING ({readable});" if readable else ""
    return RunSQL(
        f"""
        ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
        ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
        CREATE POLICY tenant_isolation ON {table} USING ({own}) WITH CHECK ({own});
        {also}
        """,
        f"""
        DROP POLICY IF EXISTS also_readable ON {table};
        DROP POLICY tenant_isolation ON {table};
        ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY;
        ALTER TABLE {table} DISABLE ROW LEVEL SECURITY;
        """,
    )


def SameTenant(table: str, column: str, references: str, *, on_delete: str = "CASCADE") -> RunSQL:  # noqa: N802
    """A foreign key that also compares the tenant: a plain one accepts another tenant's row.

    The referenced table needs UNIQUE (tenant_id, id). With on_delete="SET NULL" only `column` is cleared.
    """
    name = f"{table}_{column}_same_tenant"
    action = f"SET NULL ({column})" if on_delete == "SET NULL" else on_delete
    return RunSQL(
        f"""
        ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY (tenant_id, {column})
        REFERENCES {references} (tenant_id, id) ON DELETE {action} DEFERRABLE INITIALLY DEFERRED;
        """,
        f"ALTER TABLE {table} DROP CONSTRAINT {name};",
    )


def OwnOrDefault(table: str, column: str, references: str, *, same: bool = False) -> RunSQL:  # noqa: N802
    """`column` may point at a row of the same tenant, or at one without a tenant, which is everybody's. A composite
    foreign key can't say "or none", so a trigger does. With same=True only a row of the very same tenant, or of none
    where this one has none, will do.
    """
    name = f"{table}_{column}_own_or_default"
    allowed = "IS NOT DISTINCT FROM NEW.tenant_id" if same else "= NEW.tenant_id OR tenant_id IS NULL"
    return RunSQL(
        f"""
        CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NOT EXISTS (SELECT FROM {references} WHERE id = NEW.{column} AND (tenant_id {allowed})) THEN
                RAISE foreign_key_violation USING MESSAGE = '{table}.{column} is another tenant''s';
            END IF;
            RETURN NEW;
        END
        $$;
        CREATE TRIGGER {column}_own_or_default BEFORE INSERT OR UPDATE OF {column}, tenant_id ON {table}
        FOR EACH ROW WHEN (NEW.{column} IS NOT NULL) EXECUTE FUNCTION {name}();
        """,
        f"""
        DROP TRIGGER {column}_own_or_default ON {table};
        DROP FUNCTION {name}();
        """,
    )
