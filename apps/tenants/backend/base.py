"""A Postgres backend that tells the database which tenant and user are acting.

Before a statement it sets `search_path`, `app.tenant_id` and `app.user_id` in one round trip, and only when
they differ from what this connection was last told. Inside a transaction the settings are local to it; outside
they last for the session. Whatever ends a transaction or a connection may discard them, so each of those forgets
what was applied.

Behind a pooler in transaction mode (OPTIONS["transaction_pooler"]) nothing may last for the session: the next
statement may reach another one. There a statement outside a transaction carries the settings in its own message,
which Postgres runs as one transaction.
"""

from typing import Any

from django.db.backends.postgresql.base import CursorMixin
from django.db.utils import NotSupportedError
from django_tenants.postgresql_backend import base
from django_tenants.utils import quote_schema_name
from psycopg import ClientCursor, sql
from psycopg.pq import TransactionStatus

from apps.tenants.context import current_scope

SET = (
    "SELECT set_config('search_path', {}, {local}), "
    "set_config('app.tenant_id', {}, {local}), set_config('app.user_id', {}, {local})"
)
# Moving a tenant between pool and silo takes the same lock exclusively, and so waits for its writers.
SHARED_LOCK = ", pg_advisory_xact_lock_shared(hashtextextended({}, 0))"

Settings = tuple[str, str, str]


class TellingCursor(CursorMixin, ClientCursor[Any]):
    """Says who is acting before what it executes. One without a `wrapper` says nothing: the driver's own queries."""

    wrapper: "DatabaseWrapper | None" = None

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        if self.wrapper is None or not (told := self.wrapper.tell()):
            return super().execute(query, params, **options)
        if isinstance(query, sql.Composable):
            query = query.as_string(self)
        # The driver reads % as the mark of a parameter, but only where there are any.
        super().execute(f"{told if params is None else told.replace('%', '%%')}; {query}", params, **options)
        self.nextset()
        return self

    def executemany(self, *args: Any, **options: Any) -> None:
        self._tell_first("executemany()")
        super().executemany(*args, **options)

    def copy(self, *args: Any, **options: Any) -> Any:
        self._tell_first("COPY")
        return super().copy(*args, **options)

    def stream(self, *args: Any, **options: Any) -> Any:
        self._tell_first("stream()")
        return super().stream(*args, **options)

    def _tell_first(self, what: str) -> None:
        if self.wrapper:
            self.wrapper.tell_before(what)


class DatabaseWrapper(base.DatabaseWrapper):
    _applied: tuple[Settings, bool] | None = None  # and whether they are local to the transaction

    @property
    def is_behind_pooler(self) -> bool:
        return bool(self.settings_dict["OPTIONS"].get("transaction_pooler"))

    def get_connection_params(self) -> dict[str, Any]:
        parameters = super().get_connection_params()
        parameters.pop("transaction_pooler", None)
        return {**parameters, "cursor_factory": TellingCursor}

    def create_cursor(self, name: str | None = None) -> Any:
        if name:
            self.tell_before("A server-side cursor")
            return super().create_cursor(name)
        cursor = super().create_cursor()
        cursor.wrapper = self
        return cursor

    def tell(self) -> str:
        """Let the connection know who is acting. Returns what the next statement must carry in front, if anything."""
        if self.connection.pgconn.transaction_status == TransactionStatus.INERROR:
            return ""  # only a rollback can follow
        wanted, local = self._wanted(), not self.autocommit
        if not local and self.is_behind_pooler:
            return self._set(wanted, local=True)
        if self._applied != (wanted, local):
            self._applied = None
            self.connection.execute(self._set(wanted, local=local))
            self._applied = (wanted, local)
        return ""

    def tell_before(self, what: str) -> None:
        """The same for what can't carry anything in front. Raises NotSupportedError where it would have to."""
        if self.tell():
            raise NotSupportedError(f"{what} needs a transaction behind a pooler: wrap it in transaction.atomic().")

    def _wanted(self) -> Settings:
        scope = current_scope()
        schema = scope.schema_name or self.schema_name
        base._check_schema_name(schema)
        schemas = [schema] if not self.include_public_schema else list(dict.fromkeys([schema, "public"]))
        path = ",".join(quote_schema_name(name) for name in schemas)
        return path, str(scope.tenant_id or ""), str(scope.user_id or "")

    def _set(self, wanted: Settings, *, local: bool) -> str:
        """The statement that applies `wanted`; in a transaction it also takes its tenant's shared lock."""
        lock = sql.SQL(SHARED_LOCK).format(wanted[1]) if local and wanted[1] else sql.SQL("")
        return (sql.SQL(SET).format(*wanted, local=local) + lock).as_string(self.connection)

    def _handle_search_path(self, cursor: Any = None) -> None:
        """django-tenants would set the path once a cursor; ours tell before each statement."""

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
        try:
            super().savepoint_rollback(sid)
        finally:
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
