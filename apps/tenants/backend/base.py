"""A Postgres backend that tells the database which tenant and user are acting.

Before a statement it sets `search_path`, `app.tenant_id` and `app.user_id` in one round trip, and only when
they differ from what this connection was last told. Inside a transaction the settings are local to it, which
is what survives a pooler in transaction mode; outside they last for the session. Whatever ends a transaction
or a connection may discard them, so each of those forgets what was applied.
"""

from typing import Any

from django_tenants.postgresql_backend import base
from django_tenants.utils import quote_schema_name

from apps.tenants.context import current_scope

SET = "SELECT set_config('search_path', %s, %s), set_config('app.tenant_id', %s, %s), set_config('app.user_id', %s, %s)"
# Moving a tenant between pool and silo takes the same lock exclusively, and so waits for its writers.
SHARED_LOCK = ", pg_advisory_xact_lock_shared(hashtextextended(%s, 0))"

Settings = tuple[str, str, str]


class DatabaseWrapper(base.DatabaseWrapper):
    _applied: tuple[Settings, bool] | None = None  # and whether they are local to the transaction
    _setting_search_path: bool

    def _wanted(self) -> Settings:
        scope = current_scope()
        schema = scope.schema_name or self.schema_name
        base._check_schema_name(schema)
        schemas = [schema] if not self.include_public_schema else list(dict.fromkeys([schema, "public"]))
        path = ",".join(quote_schema_name(name) for name in schemas)
        return path, str(scope.tenant_id or ""), str(scope.user_id or "")

    def _handle_search_path(self, cursor: Any = None) -> None:
        if self._setting_search_path:
            return
        wanted, local = self._wanted(), self.in_atomic_block
        if self._applied == (wanted, local) or self.needs_rollback:
            return
        path, tenant_id, user_id = wanted
        sql, params = SET, [path, local, tenant_id, local, user_id, local]
        if local and tenant_id:
            sql, params = SET + SHARED_LOCK, [*params, tenant_id]
        self._setting_search_path, self._applied = True, None
        setter = cursor or self.connection.cursor()
        try:
            setter.execute(sql, params)
            self._applied = (wanted, local)
        finally:
            self._setting_search_path = False
            if cursor is None:
                setter.close()

    def _forget(self) -> None:
        self._applied = None

    def _commit(self) -> None:
        try:
            super()._commit()
        finally:
            self._forget()

    def _rollback(self) -> None:
        try:
            super()._rollback()
        finally:
            self._forget()

    def savepoint_rollback(self, sid: str) -> None:
        # After an error the transaction takes no statement but this one, whatever scope is left meanwhile.
        self._setting_search_path = True
        try:
            super().savepoint_rollback(sid)
        finally:
            self._setting_search_path = False
            self._forget()

    def set_autocommit(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().set_autocommit(*args, **kwargs)
        finally:
            self._forget()

    def connect(self) -> None:
        self._forget()
        super().connect()

    def close(self) -> None:
        self._forget()
        super().close()
