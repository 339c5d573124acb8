"""Sending domains from a file. One file is one transaction; a domain that is new sends nothing before a check."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from django.db import IntegrityError, connection, transaction

from mailboxes.models import Import, ImportedRow, Mailbox, SendingDomain
from mailboxes.services import domain_rows, domains, imports, undo, undo_domains
from mailboxes.services.domain_rows import Given
from outreach.common import hooks, previews
from outreach.common.errors import BadInput
from outreach.common.previews import Preview
from outreach.common.refusals import Refusal, RefusedRows, Report, Row
from outreach.common.tables import Table
from tenants.models import Tenant
from tenants.services import audit, file_imports
from tenants.services.actors import Actor

CHUNK = 500


def import_domains(
    tenant: Tenant,
    path: Path | str,
    *,
    actor: Actor,
    dry_run: bool = False,
    refused_path: Path | str | None = None,
    sheet: str = "",
    source: str = "",
    mapping: Mapping[str, str] | None = None,
) -> Iterator[Report]:
    """Take a file's domains into the tenant; yield the same Report as it fills.

    A known domain takes what the file says; an empty cell leaves what is there, and its state is left to checks and
    people. A domain of another tenant is refused. For the rest see `importing.import_mailboxes`.
    Raises NotAllowed, and BadInput about the file as a whole; then nothing was imported.
    """
    actor.require("mailboxes.import", tenant)
    file_imports.judge_source(source)
    report = Report(dry_run=dry_run, preview=Preview() if dry_run else None)
    columns = {**imports.columns_of(tenant, source, Import.Kind.DOMAINS), **(mapping or {})}
    with Table(path, domain_rows.SHAPE, sheet=sheet, mapping=columns, titles=mapping or ()) as table:
        done = imports.unsaved(tenant, path, source, columns, actor=actor, kind=Import.Kind.DOMAINS)
        report.bytes_total = table.size
        refused = RefusedRows(table, Path(refused_path or f"{path}.refused.csv"))
        try:
            with transaction.atomic():
                yield from _Import(tenant, actor, table, refused, report, done).run()
                transaction.set_rollback(dry_run)
            if not dry_run:
                report.refused_file = str(refused.keep() or "")
        except IntegrityError as error:
            raise BadInput("Another import took one of these domains. Try again.") from error
        finally:
            refused.discard()
    report.phase = "done"
    yield report


class _Import:
    """One run."""

    def __init__(
        self, tenant: Tenant, actor: Actor, table: Table, refused: RefusedRows, report: Report, done: Import
    ) -> None:
        self.tenant, self.actor, self.table = tenant, actor, table
        self.refused, self.report, self.done = refused, report, done
        self.lines: dict[str, int] = {}  # name -> line that took it
        self.host_lines: dict[str, tuple[int, str]] = {}  # tracking host -> line and domain that took it
        self.lowered: list[int] = []
        self.seen: list[dict[str, Any]] = []  # of this chunk, for the preview

    def run(self) -> Iterator[Report]:
        """Take all rows over, chunk by chunk."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('import mailboxes', %s))", [self.tenant.pk])
        undo.forget(self.tenant.pk)
        self.done.save()
        rows, report = self.table.rows(), self.report
        while chunk := list(islice(rows, CHUNK)):
            report.read += len(chunk)
            self.take(list(self.accepted(chunk)))
            if report.preview:
                report.preview.add(self.seen)
            self.seen.clear()
            report.bytes_read = self.table.position
            yield report
        if self.lowered and not report.dry_run:
            boxes = Mailbox.objects.filter(domain__in=self.lowered).order_by("pk").select_for_update(no_key=True)
            ids = list(boxes.values_list("pk", flat=True))
            hooks.call("mailboxes.cap_lowered", mailbox_ids=ids, reason="cap of the domain lowered")
        counts = {name: getattr(report, name) for name in ("created", "updated", "unchanged", "refused")}
        for name, value in counts.items():
            setattr(self.done, name, value)
        self.done.save()
        report.import_id = None if report.dry_run else self.done.pk
        audit.record(
            self.actor, "domains.imported", self.tenant, **counts, dry_run=report.dry_run, import_id=report.import_id
        )

    def accepted(self, rows: Iterable[Row]) -> Iterator[tuple[Row, Given]]:
        """The rows that nothing is wrong with so far; the others are refused."""
        for row in rows:
            found = row.refusals or domain_rows.judge(row.line, self.cells(row))
            if isinstance(found, Given):
                found = self.repeated(row.line, found) or found
            if isinstance(found, Given):
                yield row, found
            else:
                self.refuse(row, found)

    def repeated(self, line: int, given: Given) -> list[Refusal]:
        """What an earlier row of the file has taken."""
        first = self.lines.setdefault(given.name, line)
        if first != line:
            return [Refusal(line, "domain", f"is the same domain as in line {first}")]
        host = given.values.get("tracking_host")
        if host and (taken := self.host_lines.setdefault(host, (line, given.name)))[0] != line:
            return [Refusal(line, "tracking_host", f"is that of {taken[1]} in line {taken[0]}")]
        return []

    def cells(self, row: Row) -> dict[str, str]:
        return dict(zip(self.table.columns, row.cells, strict=True))

    def refuse(self, row: Row, refusals: Sequence[Refusal]) -> None:
        placed = self.refused.add(Row(row.line, row.cells, refusals))
        self.report.refuse(placed)
        if self.report.preview:
            self.seen.append(previews.refused(row.line, self.cells(row)["domain"][:253], placed))

    def take(self, entries: Sequence[tuple[Row, Given]]) -> None:
        """Write one chunk."""
        names = [given.name for _, given in entries]
        hosts = [given.values["tracking_host"] for _, given in entries if given.values.get("tracking_host")]
        rows = SendingDomain.objects.filter(tenant=self.tenant, name__in=names).order_by("pk")
        known = {row.name: row for row in rows.select_for_update(no_key=True)}
        names_of_others, hosts_of_others = domains.of_others(self.tenant.pk, names, hosts)
        own = SendingDomain.objects.filter(tenant=self.tenant, tracking_host__in=hosts)
        owners = dict(own.values_list("tracking_host", "name"))
        new, changed = [], []
        for row, given in entries:
            domain, host = known.get(given.name), given.values.get("tracking_host")
            reason = None
            if given.name in names_of_others:
                reason = "domain", "belongs to another tenant"
            elif domain and domain.state == SendingDomain.State.RETIRED:
                reason = "domain", "is retired, and there is no way back"
            elif host and (host in hosts_of_others or owners.get(host, given.name) != given.name):
                reason = "tracking_host", "is the tracking host of another domain"
            if reason:
                self.refuse(row, [Refusal(row.line, *reason)])
            elif domain is None:
                made = SendingDomain(tenant=self.tenant, name=given.name, **given.values)
                new.append((row.line, made))
                self.see(row.line, "new", given.name)
            elif before := self.update(row.line, domain, given):
                changed.append((row.line, domain, before))
            else:
                self.report.unchanged += 1
                self.see(row.line, "unchanged", given.name)
        SendingDomain.objects.bulk_create([domain for _, domain in new])
        fields = [*domains.CHANGEABLE, "check_due_at"]
        SendingDomain.objects.bulk_update([domain for _, domain, _ in changed], fields, batch_size=100)
        notes = [(line, domain, None) for line, domain in new] + changed
        ImportedRow.objects.bulk_create(undo_domains.note(self.done, *entry) for entry in notes)
        self.report.created += len(new)
        self.report.updated += len(changed)

    def update(self, line: int, domain: SendingDomain, given: Given) -> dict[str, Any] | None:
        """Bring a known domain up to date, unsaved; what it had before, or None where the file says nothing new."""
        changes = {name: value for name, value in given.values.items() if value != getattr(domain, name)}
        if not changes:
            return None
        before = undo_domains.image(domain)
        if any(domains.is_lower(changes[name], getattr(domain, name)) for name in domains.NUMBERS if name in changes):
            self.lowered.append(domain.pk)
        told = {name: (domains.plain(getattr(domain, name)), domains.plain(value)) for name, value in changes.items()}
        for name, value in changes.items():
            setattr(domain, name, value)
        if not domains.OF_DNS.isdisjoint(changes):
            domain.check_due_at = None
        self.see(line, "changed", domain.name, told)
        return before

    def see(self, line: int, verdict: str, name: str, changes: Mapping[str, Any] | None = None) -> None:
        if self.report.preview:
            entry = {"line": line, "verdict": verdict, "subject": name}
            self.seen.append(entry | ({"changes": changes} if changes else {}))
