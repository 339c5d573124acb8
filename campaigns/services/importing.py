"""Contacts from a file: judged row by row, staged with COPY, taken over chunk by chunk as sets.

Reading and writing overlap: while the database takes one chunk over, the next one is judged. Still one file
is one transaction: the good rows are there with its commit, or nothing is. Refused rows are
named, and written to a file that can be corrected and imported again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from campaigns.models import ContactImport, ContactList
from campaigns.services import contact_imports, contact_preview, contact_rows, contact_stage, suppression
from campaigns.services.contact_stage import Taken
from outreach.common import staging
from outreach.common.addresses import header_text
from outreach.common.errors import BadInput
from outreach.common.previews import Preview
from outreach.common.refusals import RefusedRows, Report, Row
from outreach.common.tables import Table
from tenants.models import Tenant
from tenants.services import audit, file_imports
from tenants.services.actors import Actor

CHUNK = 5_000  # rows that are taken over at once; a report comes as often


def import_contacts(
    tenant: Tenant,
    path: Path | str,
    *,
    list_name: str,
    actor: Actor,
    dry_run: bool = False,
    refused_path: Path | str | None = None,
    sheet: str = "",
    source: str = "",
    mapping: Mapping[str, str] | None = None,
    preview: int = 0,
) -> Iterator[Report]:
    """Take a file's contacts into the tenant and the list of that name; yield the same Report as it fills.

    `suppressed` counts rows that are taken but will never be mailed. Refused rows go to `refused_path`, by
    default the file's own name with .refused.csv behind it; a dry run rolls everything back and writes none, and says
    in `report.preview` what would become of the first `preview` rows of each verdict. Else `report.import_id` is what
    `contact_imports.roll_back` takes. `mapping` leads from titles to the columns' names; with a `source` it is kept for
    the next import of that source.
    Between two reports another thread uses the database connection: leave it alone.
    Raises NotAllowed, and BadInput about the file as a whole; then nothing was imported.
    """
    actor.require("campaigns.import_contacts", tenant)
    file_imports.judge_source(source)
    report = Report(dry_run=dry_run, preview=Preview() if dry_run and preview else None)
    columns = {**contact_imports.columns_of(tenant, source), **(mapping or {})}
    with Table(path, contact_rows.SHAPE, sheet=sheet, mapping=columns, titles=mapping or ()) as table:
        refused = contact_preview.Refused(table, Path(refused_path or f"{path}.refused.csv"), report, preview)
        report.bytes_total, report.fields = table.size, table.fields
        done = ContactImport(tenant=tenant, **file_imports.facts(path, source, columns, actor=actor))
        try:
            with transaction.atomic():
                yield from _contacts(done, table, list_name, refused, report)
                if report.preview:
                    contact_preview.show(report, done, preview)
                _record(done, report, actor)
                transaction.set_rollback(dry_run)
            if not dry_run:
                report.refused_file = str(refused.keep() or "")
        finally:
            refused.discard()
    report.phase = "done"
    yield report


def _contacts(
    done: ContactImport, table: Table, list_name: str, refused: RefusedRows, report: Report
) -> Iterator[Report]:
    done.contact_list = _list(done.tenant, list_name)
    values = contact_stage.begin(done.tenant_id, done.contact_list_id, table.columns, has_fields=bool(table.fields))
    contact_imports.forget(done.tenant_id)
    done.entries_after = contact_stage.entry_number()
    done.save()
    values["import"] = done.pk
    with staging.Background() as background:
        yield from _read(table, refused, report, lambda work, lines: background.run(work, lines, values))
        report.phase = "writing"
        yield report
        background.run(contact_stage.take_again, values)
        taken = Taken()
        for part in background.results():
            taken.add(part)
    staging.write_refusals(table, refused, report)
    report.created, report.updated, report.unchanged = taken.created, taken.updated, taken.unchanged
    report.suppressed = taken.suppressed


def _record(done: ContactImport, report: Report, actor: Actor) -> None:
    """Write down what came of it, and wake the planner."""
    counts: dict[str, Any] = {
        name: getattr(report, name) for name in ("created", "updated", "unchanged", "refused", "suppressed")
    }
    ContactImport.objects.filter(pk=done.pk).update(entries_until=contact_stage.entry_number(), **counts)
    report.import_id = None if report.dry_run else done.pk
    Tenant.objects.filter(pk=done.tenant_id).update(plan_wanted_at=Now())
    del counts["suppressed"]
    audit.record(
        actor, "contacts.imported", done.contact_list, **counts, dry_run=report.dry_run, import_id=report.import_id
    )


def _read(
    table: Table, refused: RefusedRows, report: Report, send: Callable[[Callable[..., Taken], bytes], None]
) -> Iterator[Report]:
    """Read the file, send good lines off in chunks, and refuse the rows that are wrong by themselves."""
    # One day more than today, since it is tomorrow already where some files come from.
    today = timezone.now().date() + timedelta(days=1)
    judged = contact_rows.judge(table.columns, suppression.hasher(), today=today)
    met = contact_rows.Met(table.size)
    fresh: list[str] = []
    again: list[str] = []
    for line, cells, refusals in table.rows():
        report.read += 1
        result = refusals or judged(line, cells)
        if isinstance(result, contact_rows.Line):
            place = again if met.before(result.address_hash) else fresh
            place.append(result.text)
            if len(place) >= CHUNK:
                send(contact_stage.keep_again if place is again else contact_stage.take_chunk, _bytes(place))
        else:
            report.refuse(refused.add(Row(line, cells, result)))
        if report.read % CHUNK == 0:
            report.bytes_read = table.position
            yield report
    send(contact_stage.take_chunk, _bytes(fresh))
    send(contact_stage.keep_again, _bytes(again))
    report.bytes_read = table.size


def _bytes(lines: list[str]) -> bytes:
    """The lines for COPY; the list is empty afterwards."""
    data = "".join(lines).encode()
    lines.clear()
    return data


def _list(tenant: Tenant, name: str) -> ContactList:
    """The tenant's list of that name, made if need be."""
    name = header_text(name.strip(), "list")
    if not name or len(name) > 200:
        raise BadInput("Name the list with 1 to 200 characters.", field="list")
    found, _created = ContactList.objects.get_or_create(tenant=tenant, name=name)
    if found.archived_at:
        raise BadInput(f"The list {name!r} is archived. Take another name.", field="list")
    return found
