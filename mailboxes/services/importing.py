"""Mailboxes from a file, with the pools, sending domains and provider accounts that they need.

One file is one transaction. A password is sealed as soon as its row is judged; neither the database nor a
report or log line ever holds it in plain text.
"""

from __future__ import annotations

import uuid
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now

from mailboxes import acts
from mailboxes.models import Import, Mailbox, Pool, ProviderAccount, SendingDomain
from mailboxes.models.mailboxes import MAILBOX_PASSWORD
from mailboxes.services import import_ramps, import_sql, imports, mailbox_rows, servers, sign_ins, undo
from mailboxes.services.import_lines import Lines
from mailboxes.services.import_told import Told
from mailboxes.services.mailbox_rows import Given, Reader, Server
from outreach.common import hooks
from outreach.common.errors import BadInput
from outreach.common.previews import Preview
from outreach.common.refusals import Refusal, RefusedRows, Report, Row
from outreach.common.sealing import SealBroken
from outreach.common.tables import Table
from tenants.models import Tenant
from tenants.services import approvals, audit, file_imports, sealing
from tenants.services.actors import Actor

CHUNK = 2000
# What a file may change.
SETTINGS = ("pool", "home", "display_name", "username", "daily_cap", "min_gap_seconds", "tags", "signature")
SECRET = ("sealed_password", "hold", "failures", "state_reason")


class Entry(NamedTuple):
    """A row and what it says."""

    row: Row
    given: Given


def import_mailboxes(
    tenant: Tenant,
    path: Path | str,
    *,
    actor: Actor,
    dry_run: bool = False,
    refused_path: Path | str | None = None,
    sheet: str = "",
    source: str = "",
    mapping: Mapping[str, str] | None = None,
    ramp: str = "",
    test_sign_in: bool = False,
    secrets: bool = True,
) -> Iterator[Report]:
    """Take a file's mailboxes into the tenant; yield the same Report as it fills.

    A known mailbox takes the file's settings and password, where they are given; its state is left to
    those who judge mailboxes. A new one starts active, or as a reserve. Refused rows go to `refused_path`,
    by default the file's own name with .refused.csv behind it, and without passwords unless `secrets`; a dry run
    rolls back and writes none.
    `mapping` leads from titles to the columns' names; with a `source` it is kept for the next import of that source.
    `ramp` names the plan of mailboxes whose row names none; "standard" is made where there is none yet.
    `test_sign_in` notes each accepted mailbox for sign_ins.run, which the caller runs after this has committed.
    A dry run says in `report.preview` what would become of each row. Otherwise `report.import_id` is what
    `imports.roll_back` takes.
    Raises NotAllowed, and BadInput about the file as a whole; then nothing was imported.
    """
    actor.require("mailboxes.import", tenant)
    file_imports.judge_source(source)
    report = Report(dry_run=dry_run, preview=Preview() if dry_run else None)
    columns = {**imports.columns_of(tenant, source), **(mapping or {})}
    with Table(path, mailbox_rows.SHAPE, sheet=sheet, mapping=columns, titles=mapping or ()) as table:
        done = imports.unsaved(tenant, path, source, columns, actor=actor, kind=Import.Kind.MAILBOXES)
        report.bytes_total = table.size
        refused = RefusedRows(table, Path(refused_path or f"{path}.refused.csv"), secrets=secrets)
        unusable = servers.unusable(table)  # asks the resolver, so before the transaction
        try:
            with transaction.atomic():
                yield from _Import(tenant, actor, table, refused, report, unusable, done, ramp, test_sign_in).run()
                transaction.set_rollback(dry_run)
            if not dry_run:
                report.refused_file = str(refused.keep() or "")
        except IntegrityError as error:
            raise BadInput("Another import took one of these addresses or domains. Try again.") from error
        finally:
            refused.discard()
    report.phase = "done"
    yield report


class _Import:
    """One run. Holds what it looked up, so that a pool, a domain or an account costs one query per file."""

    def __init__(
        self,
        tenant: Tenant,
        actor: Actor,
        table: Table,
        refused: RefusedRows,
        report: Report,
        unusable: dict[Server | Reader, str],
        done: Import,
        ramp: str,
        test_sign_in: bool,
    ) -> None:
        self.tenant, self.actor, self.table = tenant, actor, table
        self.refused, self.report, self.unusable = refused, report, unusable
        self.keyring = sealing.keyring()
        self.pools = {pool.name: pool for pool in Pool.objects.filter(tenant=tenant)}
        self.pool_names = {pool.pk: pool.name for pool in self.pools.values()}
        self.accounts = servers.Accounts(tenant)
        self.domains: dict[str, SendingDomain] = {}  # of this chunk
        self.new_domains: list[SendingDomain] = []
        self.addresses_of_others: set[str] = set()
        self.domains_of_others: set[str] = set()
        self.capped = array("q")
        self.policy = approvals.policy_of(tenant.pk)
        self.ramp, self.test_sign_in = ramp, test_sign_in
        self.done = done
        self.made = {kind: array("q") for kind in ("pools", "domains")}
        self.told = Told(report.preview, self.pool_names, self.accounts.names)

    def run(self) -> Iterator[Report]:
        """Take all rows over, chunk by chunk."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('import mailboxes', %s))", [self.tenant.pk])
        undo.forget(self.tenant.pk)
        self.done.save()
        self.lines, self.ramps = Lines(), import_ramps.Ramps(self.tenant, self.actor, self.ramp)
        rows = self.table.rows()
        while chunk := list(islice(rows, CHUNK)):
            self.report.read += len(chunk)
            self.take(list(self.accepted(chunk)))
            self.told.end_chunk()
            self.report.bytes_read = self.table.position
            yield self.report
        report = self.report
        if self.capped and not report.dry_run:
            hooks.call("mailboxes.cap_lowered", mailbox_ids=sorted(self.capped), reason="cap lowered")
        Tenant.objects.filter(pk=self.tenant.pk).update(plan_wanted_at=Now())
        if self.made["domains"] or self.accounts.made:  # another way out, which SPF may not cover yet
            boxes = Mailbox.objects.filter(pk__in=self.done.rows.values("mailbox_ref"))
            domains = SendingDomain.objects.filter(tenant=self.tenant, pk__in=boxes.values("domain"))
            domains.exclude(state=SendingDomain.State.RETIRED).update(check_due_at=None)
        for name in ("created", "updated", "unchanged", "refused"):
            setattr(self.done, name, getattr(report, name))
        made = {kind: list(ids) for kind, ids in self.made.items()}
        self.done.made = made | {
            "accounts": self.accounts.made,
            "readers": self.accounts.read_by,
            "plans": self.ramps.made,
        }
        self.done.save()
        report.import_id = None if report.dry_run else self.done.pk
        audit.record(
            self.actor,
            "mailboxes.imported",
            self.tenant,
            created=report.created,
            updated=report.updated,
            unchanged=report.unchanged,
            refused=report.refused,
            dry_run=report.dry_run,
            import_id=report.import_id,
        )

    def accepted(self, rows: Iterable[Row]) -> Iterator[Entry]:
        """The rows that nothing is wrong with so far; the others are refused."""
        judged = [(row, self.given(row)) for row in rows]
        firsts = self.lines.take(
            (given.address.key, row.line) for row, given in judged if isinstance(given, Given)
        )  # fmt: skip
        for row, given in judged:
            wrong = self.judge(row, given, firsts) if isinstance(given, Given) else given
            if isinstance(given, Given) and not wrong:
                yield Entry(row, given)
            else:
                self.refuse(row, wrong)

    def given(self, row: Row) -> Given | Sequence[Refusal]:
        """What the row says, or why it can't be understood."""
        if row.refusals:
            return row.refusals
        found = mailbox_rows.judge(row.line, mailbox_rows.cells(self.table, row))
        if isinstance(found, Given) and self.ramps.standard and not found.ramp:
            return replace(found, ramp=self.ramps.standard)
        return found

    def judge(self, row: Row, given: Given, firsts: Mapping[str, int]) -> Sequence[Refusal]:
        """Why the row is refused, as far as the file and what is looked up already tell."""
        first = firsts[given.address.key]
        if first != row.line:
            return [Refusal(row.line, "address", f"is the same address as in line {first}")]
        if reason := self.unusable.get(given.server):
            plain = given.server.security == ProviderAccount.Security.NONE
            return [Refusal(row.line, "smtp_security" if plain else "smtp_host", reason)]
        if given.reader and (reason := self.unusable.get(given.reader)):
            return [Refusal(row.line, "imap_host", reason)]
        pool = self.pools.get(given.pool)
        if pool and pool.archived_at:
            return [Refusal(row.line, "pool", "is archived")]
        if given.ramp and (reason := self.ramps.why_not(given.ramp)):
            return [Refusal(row.line, "ramp", reason)]
        return []

    def refuse(self, row: Row, refusals: Sequence[Refusal]) -> None:
        placed = self.refused.add(Row(row.line, row.cells, refusals))
        self.report.refuse(placed)
        self.told.refused(row, mailbox_rows.cells(self.table, row), placed)

    def take(self, entries: list[Entry]) -> None:
        """Write one chunk."""
        keys = [entry.given.address.key for entry in entries]
        # In id order, as everywhere.
        found = Mailbox.objects.filter(tenant=self.tenant, address_key__in=keys).order_by("pk")
        list(found.select_for_update(no_key=True).values_list("pk"))
        self.look_at_others(keys, [entry.given.address.domain for entry in entries])
        # Read only now: what a stop committed while we waited for the lock must not be written back.
        known = {mailbox.address_key: mailbox for mailbox in found.select_related("home", "ramp")}
        names = {entry.given.address.domain for entry in entries}
        self.domains = {
            domain.name: domain for domain in SendingDomain.objects.filter(tenant=self.tenant, name__in=names)
        }
        accepted: list[Mailbox] = []
        new: list[tuple[int, Mailbox]] = []
        changed: list[tuple[int, Mailbox, dict[str, Any], bytes | None]] = []
        for row, given in entries:
            mailbox = known.get(given.address.key)
            reason = self.why_not(mailbox, given)
            if reason:
                self.refuse(row, [Refusal(row.line, *reason)])
                continue
            if mailbox is None:
                mailbox = self.make(given)
                self.ramps.put(mailbox, given.ramp)
                new.append((row.line, mailbox))
                accepted.append(mailbox)
                self.told.see(row.line, "new", mailbox)
                continue
            before, shown, cap = undo.image(mailbox), self.told.image(mailbox), mailbox.cap_of_day
            is_changed, password = self.update(mailbox, given)
            ramp_before = self.ramps.put(mailbox, given.ramp)
            if mailbox.cap_of_day < cap:
                self.capped.append(mailbox.pk)
            if is_changed or ramp_before:
                changed.append((row.line, mailbox, before | ramp_before, password))
                self.told.see(row.line, "changed", mailbox, shown, password)
            else:
                self.report.unchanged += 1
                self.told.see(row.line, "unchanged", mailbox)
            accepted.append(mailbox)
        self.write(new, changed)
        if self.test_sign_in:
            sign_ins.want(self.tenant.pk, self.done.pk, [mailbox.pk for mailbox in accepted])

    def write(
        self, new: list[tuple[int, Mailbox]], changed: list[tuple[int, Mailbox, dict[str, Any], bytes | None]]
    ) -> None:
        """What one chunk made and changed, and what it takes to undo that."""
        import_sql.insert(self.new_domains, "name")
        self.made["domains"].extend(domain.pk for domain in self.new_domains)
        self.new_domains = []
        for _, mailbox in new:
            mailbox.domain_id = mailbox.domain.pk  # which had no number when the mailbox was made
        import_sql.insert([mailbox for _, mailbox in new], "seal_ref")
        import_sql.update([entry[1] for entry in changed], (*SETTINGS, *SECRET, *import_ramps.COLUMNS))
        self.ramps.write()
        made = [undo.row(self.done, line, mailbox, None, None, self.keyring) for line, mailbox in new]
        import_sql.insert([*made, *(undo.row(self.done, *entry, self.keyring) for entry in changed)], "seal_ref")
        self.report.created += len(new)
        self.report.updated += len(changed)

    def look_at_others(self, keys: Sequence[str], domains: Sequence[str]) -> None:
        """What other tenants have of these, which no query of ours would show."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT kind, name FROM mailboxes_of_others(%s, %s, %s)", [self.tenant.pk, list(keys), list(domains)]
            )
            found = cursor.fetchall()
        self.addresses_of_others = {name for kind, name in found if kind == "address"}
        self.domains_of_others = {name for kind, name in found if kind == "domain"}

    def why_not(self, mailbox: Mailbox | None, given: Given) -> tuple[str, str] | None:
        """Column and reason of what only the database knows."""
        if given.address.key in self.addresses_of_others:
            return "address", "is a mailbox of another tenant"
        if given.address.domain in self.domains_of_others:
            return "address", "has a domain that belongs to another tenant"
        if self.accounts.passes_by_a_stop(mailbox, given.server):
            return "smtp_host", "has an account that was stopped; reopen that first"
        if reason := self.accounts.why_not_read_by(mailbox, given):
            return reason
        if mailbox and mailbox.state == Mailbox.State.RETIRED:
            return "address", "is a retired mailbox, and there is no way back"
        if mailbox and mailbox.sealed_password and not given.password and given.server.host != mailbox.home.host:
            return "smtp_password", "is empty; a stored password does not go to another host, so write it again"
        base = mailbox or Mailbox()  # a new one is raised from what it would have without a word
        if given.daily_cap and acts.raised_cap(self.policy, base, daily_cap=given.daily_cap) is not None:
            return "daily_cap", "is a raise that needs a second person; ask with: mailbox cap ADDRESS N --ask REASON"
        has_password = given.password or (mailbox and mailbox.sealed_password)
        if not has_password and (given.username or given.server.security != ProviderAccount.Security.NONE):
            return "smtp_password", "is empty"
        return None

    def make(self, given: Given) -> Mailbox:
        """An unsaved mailbox, with its password sealed."""
        mailbox = Mailbox(
            tenant=self.tenant,
            pool=self.pool(given.pool),
            domain=self.domain(given.address.domain),
            home=self.accounts.take(given),
            address=given.address.wire,
            address_key=given.address.key,
            display_name=given.display_name or "",
            state=Mailbox.State.RESERVE if given.reserve else Mailbox.State.ACTIVE,
            username=given.username,
            seal_ref=uuid.uuid4(),
        )
        if given.daily_cap is not None:
            mailbox.daily_cap = given.daily_cap
        if given.min_gap_seconds is not None:
            mailbox.min_gap_seconds = given.min_gap_seconds
        mailbox.tags, mailbox.signature = given.tags or [], given.signature or ""
        if given.password:
            mailbox.sealed_password = self.keyring.seal(given.password.encode(), self.place(mailbox))
        return mailbox

    def update(self, mailbox: Mailbox, given: Given) -> tuple[bool, bytes | None]:
        """Bring a known mailbox up to date, unsaved.

        Returns whether the file says anything new, and the password that it replaces; None when it leaves that.
        """
        wanted: dict[str, Any] = {
            "pool_id": self.pool(given.pool).pk,
            "home_id": self.accounts.take(given).pk,
            "display_name": given.display_name,
            "username": given.username or mailbox.username,
            "daily_cap": given.daily_cap,
            "min_gap_seconds": given.min_gap_seconds,
            "tags": given.tags,
            "signature": given.signature,
        }
        changes = {
            name: value for name, value in wanted.items() if value is not None and value != getattr(mailbox, name)
        }
        for name, value in changes.items():
            setattr(mailbox, name, value)
        known = self.password(mailbox)
        new_password = bool(given.password) and given.password.encode() != known
        if new_password:
            mailbox.sealed_password = self.keyring.seal(given.password.encode(), self.place(mailbox))
        signs_in_anew = new_password or not {"username", "home_id"}.isdisjoint(changes)
        was_shut = known is None and mailbox.hold == Mailbox.Hold.LOCKED and new_password
        if was_shut or (signs_in_anew and mailbox.hold == Mailbox.Hold.SIGN_IN_FAILED):
            mailbox.hold, mailbox.failures, mailbox.state_reason = Mailbox.Hold.NONE, 0, ""
        return bool(changes) or new_password, (known or b"") if new_password else None

    def place(self, mailbox: Mailbox) -> tuple[str, str, str, str]:
        """Where the password belongs; it opens nowhere else."""
        return MAILBOX_PASSWORD.place(self.tenant.pk, mailbox.seal_ref)

    def password(self, mailbox: Mailbox) -> bytes | None:
        """The stored password; None when it can't be opened: the file's takes its place."""
        if not mailbox.sealed_password:
            return b""
        try:
            return self.keyring.open(bytes(mailbox.sealed_password), self.place(mailbox))
        except SealBroken:
            return None

    def pool(self, name: str) -> Pool:
        if name not in self.pools:
            self.pools[name] = Pool.objects.create(tenant=self.tenant, name=name)
            self.pool_names[self.pools[name].pk] = name
            self.made["pools"].append(self.pools[name].pk)
        return self.pools[name]

    def domain(self, name: str) -> SendingDomain:
        if name not in self.domains:
            self.domains[name] = SendingDomain(tenant=self.tenant, name=name)
            self.new_domains.append(self.domains[name])
        return self.domains[name]
