"""What an import of contacts would make of its rows, told from the transaction that a dry run rolls back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.db import connection

from campaigns.models import ContactImport
from outreach.common import previews
from outreach.common.refusals import Refusal, RefusedRows, Report, Row
from outreach.common.tables import Table

PAGE = 5000
ALL = 10**9  # rows of each verdict, for who wants to see every one

# contact_seen has the line of every row that was taken.
ROWS = """
SELECT s.line, c.email, c.is_new, u.before, u.after
FROM (SELECT line, address_hash FROM contact_seen WHERE line > %(last)s ORDER BY line LIMIT %(page)s) AS s
CROSS JOIN LATERAL (
    SELECT c.id, c.email, coalesce(c.first_import_id = %(import)s, FALSE) AS is_new FROM campaigns_contact c
    WHERE c.address_hash = s.address_hash AND c.tenant_id + 0 = %(tenant)s ORDER BY c.id LIMIT 1
) AS c
LEFT JOIN LATERAL (
    SELECT u.before, u.after FROM campaigns_importedcontact u
    WHERE u.contact_ref = c.id AND u.of_id = %(import)s LIMIT 1
) AS u ON TRUE
ORDER BY s.line"""


class Refused(RefusedRows):
    """The file of refused rows; the first `most` of them go into the report's preview too."""

    def __init__(self, table: Table, path: Path, report: Report, most: int) -> None:
        super().__init__(table, path)
        self._preview, self._left = report.preview, most
        self._email_at = table.columns.index("email")

    def add(self, row: Row) -> list[Refusal]:
        placed = super().add(row)
        if self._preview is not None and self._left > 0:
            self._left -= 1
            self._preview.add([previews.refused(row.line, row.cells[self._email_at].strip()[:254], placed)])
        return placed


def show(report: Report, done: ContactImport, most: int) -> None:
    """Put up to `most` new, changed and unchanged rows into the preview; all in the file's order."""
    left = {"new": min(most, report.created), "changed": min(most, report.updated)}
    values: dict[str, Any] = {"tenant": done.tenant_id, "import": done.pk, "page": PAGE, "last": 0}
    unchanged = min(most, report.unchanged) if most == ALL else 0  # on a page nobody looks for them
    while any(left.values()) or unchanged:
        with connection.cursor() as cursor:
            cursor.execute(ROWS, values)
            rows = cursor.fetchall()
        if not rows:
            return
        values["last"] = rows[-1][0]
        entries = []
        for line, email, is_new, before, after in rows:
            verdict = "new" if is_new else "changed" if before else "unchanged"
            if verdict == "unchanged":
                if unchanged:
                    unchanged -= 1
                    entries.append({"line": line, "verdict": verdict, "subject": email})
            elif left[verdict]:
                left[verdict] -= 1
                entries.append({"line": line, "verdict": verdict, "subject": email, **_changes(before, after)})
        if report.preview:
            report.preview.add(entries)


def _changes(before: Any, after: Any) -> dict[str, Any]:
    """What changes, from what to what; parts of the ground by their own names."""
    if not before:
        return {}
    before, after = previews.loaded(before), previews.loaded(after)
    was, now = before.pop("basis", None) or {}, after.pop("basis", None) or {}
    before |= {name: value for name, value in was.items() if value != now.get(name)}
    after |= {name: now.get(name) for name in was if was[name] != now.get(name)}
    return {"changes": {name.removeprefix("fields."): [before[name], after.get(name)] for name in before}}
