"""Many rows of one model written at once: COPY into a stage, then one statement.

The rows of an INSERT or UPDATE as text cost more to write and to read than all the rest of an import.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.models import Field, Model

STAGE = "pg_temp.import_rows"


def insert(rows: Sequence[Model], key: str) -> None:
    """Insert the rows and give them their numbers; `key` names a field that tells each of them from all others."""
    if not rows:
        return
    meta: Any = type(rows[0])._meta
    fields = [field for field in meta.concrete_fields if not field.primary_key]
    own = connections[DEFAULT_DB_ALIAS]  # the same, without the detour that each look at `connection` is
    values = ([field.get_db_prep_save(field.pre_save(row, True), own) for field in fields] for row in rows)
    _stage(fields, values)
    table, columns, known = _quote(meta.db_table), _columns(fields), _quote(meta.get_field(key).column)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {STAGE} ORDER BY n RETURNING {known}, id"  # noqa: S608
        )
        numbers = dict(cursor.fetchall())
    for row in rows:
        row.pk, row._state.adding = numbers[getattr(row, key)], False


def update(rows: Sequence[Model], names: Sequence[str]) -> None:
    """Write these fields of the rows."""
    if not rows:
        return
    meta: Any = type(rows[0])._meta
    fields = [meta.pk, *(meta.get_field(name) for name in names)]
    own = connections[DEFAULT_DB_ALIAS]
    values = ([field.get_db_prep_save(getattr(row, field.attname), own) for field in fields] for row in rows)
    _stage(fields, values)
    table, key = _quote(meta.db_table), _quote(meta.pk.column)
    changes = ", ".join(f"{_quote(field.column)} = told.{_quote(field.column)}" for field in fields[1:])
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} AS t SET {changes} FROM {STAGE} AS told WHERE t.{key} = told.{key}")  # noqa: S608


def _stage(fields: Sequence[Field], values: Iterable[Sequence[Any]]) -> None:
    # Without its length in a type what is too long is refused in the end, and not cut on the way.
    own = connections[DEFAULT_DB_ALIAS]
    types = [field.rel_db_type(own) if field.primary_key else field.db_type(own) for field in fields]
    kinds = [re.sub(r"\(\d+\)", "", str(kind)) for kind in types]
    inside = ", ".join(f"{_quote(str(field.column))} {kind}" for field, kind in zip(fields, kinds, strict=True))
    with connection.cursor() as cursor:
        cursor.execute(
            f"DROP TABLE IF EXISTS {STAGE}; CREATE TEMP TABLE import_rows (n integer, {inside}) ON COMMIT DROP"
        )
        with cursor.copy(f"COPY {STAGE} FROM STDIN") as copy:
            for n, row in enumerate(values):
                copy.write_row([n, *row])


def _columns(fields: Sequence[Field]) -> str:
    return ", ".join(_quote(str(field.column)) for field in fields)


def _quote(name: str) -> str:
    return str(connection.ops.quote_name(name))
