"""Connections that tell PostgreSQL in every transaction whose rows may be seen, and in which circumstances.

Row-level security reads `app.tenants` and `app.platform`, which hold for one transaction only: a pooled
connection carries nothing over to its next user, and PgBouncer may stand in between. What is in scope is set
by outreach.common.isolation; without a scope nothing of a tenant is seen or written.

The triggers of the history read `pghistory.context_metadata`. It goes along in the same statement, so that it
costs no round trip, and what is written past Django's cursors (COPY) has it as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.backends.postgresql import base
from psycopg.pq import TransactionStatus

from outreach.common import circumstances

SET = (
    "SELECT set_config('app.tenants', %s, true), set_config('app.platform', %s, true), "
    "set_config('pghistory.context_metadata', %s, true)"
)


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose rows: those of these tenants, and with `platform` those that belong to no tenant."""

    tenant_ids: frozenset[int]
    platform: bool = False

    def values(self) -> tuple[str, str]:
        """The two settings as PostgreSQL reads them."""
        ids = ",".join(map(str, sorted(self.tenant_ids)))
        return f"{{{ids}}}", "on" if self.platform else ""


class DatabaseWrapper(base.DatabaseWrapper):
    """Sets both when a transaction begins, when one of them changes within one, and round single statements."""

    scope: Scope | None = None
    told: circumstances.Circumstances | None = None  # in the transaction under way; None: not known

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute_wrappers.append(self._in_a_transaction)

    def set_scope(self, scope: Scope | None) -> None:
        """See these rows from now on, in the transaction under way and in those to come."""
        self.scope = scope
        if self.in_atomic_block and self._takes_statements():
            self._tell()

    def set_autocommit(self, autocommit: bool, force_begin_transaction_with_broken_autocommit: bool = False) -> None:
        super().set_autocommit(autocommit, force_begin_transaction_with_broken_autocommit)
        self.told = circumstances.NONE
        if autocommit or (self.scope is None and circumstances.current() is circumstances.NONE):
            return
        try:
            self._tell()
        except BaseException:
            self.close()  # or it would stay in a transaction that nobody ends
            raise

    def _tell(self) -> None:
        values = ("", "") if self.scope is None else self.scope.values()
        here = circumstances.current()
        with self.wrap_database_errors, self.connection.cursor() as cursor:
            cursor.execute(SET, (*values, here.as_json()))
        self.told = here

    def _savepoint_rollback(self, sid: str) -> None:
        super()._savepoint_rollback(sid)  # type: ignore[misc]
        self.told = None  # PostgreSQL is back at what held when the savepoint was set

    def _takes_statements(self) -> bool:
        """A transaction that failed takes none; its rollback brings the settings of before back as well."""
        return self.connection is not None and self.connection.info.transaction_status != TransactionStatus.INERROR

    def _in_a_transaction(
        self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]
    ) -> Any:
        """A statement outside of a transaction gets one of its own: alone it would run without what is told.

        Without a scope only what writes rows gets one: looking is not noted (a request begins with four
        look-ups), and CREATE INDEX CONCURRENTLY of a migration takes none.
        """
        if self.in_atomic_block or not self.get_autocommit():
            if self.told is not circumstances.current() and self._takes_statements():
                self._tell()
            return execute(sql, params, many, context)
        if self.scope is None and (circumstances.current() is circumstances.NONE or not _writes(sql)):
            return execute(sql, params, many, context)
        with transaction.atomic(using=self.alias):
            return execute(sql, params, many, context)


def _writes(sql: Any) -> bool:
    return isinstance(sql, str) and sql.lstrip()[:6].upper() in ("INSERT", "UPDATE", "DELETE")
