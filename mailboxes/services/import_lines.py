"""Which line of a file took an address first: kept by the database, so that memory stays flat whatever the file."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connection

from outreach.common import staging

LOOK_UP = "SELECT address_key, line FROM pg_temp.mailbox_lines WHERE address_key = ANY(%s)"
KEEP = "INSERT INTO pg_temp.mailbox_lines (address_key, line) SELECT * FROM unnest(%s::text[], %s::integer[])"


class Lines:
    """The addresses that this transaction's import has met so far."""

    def __init__(self) -> None:
        staging.create("mailbox_lines", (("address_key", "text"), ("line", "integer")))
        with connection.cursor() as cursor:
            cursor.execute("CREATE UNIQUE INDEX ON pg_temp.mailbox_lines (address_key)")

    def take(self, given: Iterable[tuple[str, int]]) -> dict[str, int]:
        """The first line of each of these (address, line), the ones of earlier calls included."""
        own: dict[str, int] = {}
        for key, line in given:
            own.setdefault(key, line)
        if not own:
            return own
        with connection.cursor() as cursor:
            cursor.execute(LOOK_UP, [list(own)])
            found = dict(cursor.fetchall())
            new = {key: line for key, line in own.items() if key not in found}
            cursor.execute(KEEP, [list(new), list(new.values())])
        return own | found
