"""Mailboxes from a file, with the pools, sending domains and provider accounts that they need.

One file is one transaction. A password is sealed as soon as its row is judged; neither the database nor a
report or log line ever holds it in plain text.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now

from mailboxes import acts
from mailboxes.models import Mailbox, Pool, ProviderAccount, SendingDomain
from mailboxes.models.mailboxes import MAILBOX_PASSWORD
from mailboxes.services import mailbox_rows
from mailboxes.services.mailbox_rows import Given, Server
from outreach.common import connect, hooks
from outreach.common.errors import BadInput, OutreachError
from outreach.common.refusals import Refusal, RefusedRows, Report, Row
from outreach.common.sealing import SealBroken
from outreach.common.tables import Table
from tenants.models import Tenant
from tenants.services import approvals, audit, sealing
from tenants.services.actors import Actor

CHUNK = 500
SETTINGS = ("pool", "home", "display_name", "username", "daily_cap", "min_gap_seconds")  # what a file may change
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
) -> Iterator[Report]:
    """Take a file's mailboxes into the tenant; yield the same Report as it fills.

    A known mailbox takes the file's settings and password, where they are given; its state is left to
    those who judge mailboxes. A new one starts active, or as a reserve. Refused rows go to `refused_path`,
    by default the file's own name with .refused.csv behind it; a dry run rolls back and writes none.
    Raises NotAllowed, and BadInput about the file as a whole; then nothing was imported.
    """
    actor.require("mailboxes.import", tenant)
    report = Report(dry_run=dry_run)
    with Table(path, mailbox_rows.SHAPE, sheet=sheet) as table:
        report.bytes_total = table.size
        refused = RefusedRows(table, Path(refused_path or f"{path}.refused.csv"))
        unusable = _look_up_servers(table)  # asks the resolver, so before the transaction
        try:
            with transaction.atomic():
                yield from _Import(tenant, actor, table, refused, report, unusable).run()
                transaction.set_rollback(dry_run)
            if not dry_run:
                report.refused_file = str(refused.keep() or "")
        except IntegrityError as error:
            raise BadInput("Another import took one of these addresses or domains. Try again.") from error
        finally:
            refused.discard()
    report.phase = "done"
    yield report


def _cells(table: Table, row: Row) -> dict[str, str]:
    cells = dict(zip(table.columns, row.cells, strict=True))
    return {name: cells.get(name, "") if name in mailbox_rows.SHAPE.required else text for name, text in cells.items()}


def _look_up_servers(table: Table) -> dict[Server, str]:
    """Why the servers that may not be used may not; each is looked up once."""
    servers: set[Server] = set()
    for row in table.rows():
        if not row.refusals and isinstance(given := mailbox_rows.judge(row.line, _cells(table, row)), Given):
            servers.add(given.server)
    with ThreadPoolExecutor(8) as threads:
        reasons = threads.map(_why_unusable, servers)
    return {server: reason for server, reason in zip(servers, reasons, strict=True) if reason}


def _why_unusable(server: Server) -> str:
    plain, allowed = server.security == ProviderAccount.Security.NONE, settings.SMTP_ALLOW_LOOPBACK
    # Without TLS no port is open to the world, so only a host that is loopback throughout passes.
    ports = () if plain else settings.SMTP_PORTS
    try:
        if not plain or allowed:
            connect.check_host(server.host, server.port, allow_loopback=allowed, ports=ports)
            return ""
    except OutreachError as error:
        if not plain:
            return str(error)
    return "none would send the password in the clear: only to this machine, and only with SMTP_ALLOW_LOOPBACK=1"


class _Import:
    """One run. Holds what it looked up, so that a pool, a domain or an account costs one query per file."""

    def __init__(
        self,
        tenant: Tenant,
        actor: Actor,
        table: Table,
        refused: RefusedRows,
        report: Report,
        unusable: dict[Server, str],
    ) -> None:
        self.tenant, self.actor, self.table = tenant, actor, table
        self.refused, self.report, self.unusable = refused, report, unusable
        self.keyring = sealing.keyring()
        self.lines: dict[str, int] = {}  # address key -> line that took it
        self.pools = {pool.name: pool for pool in Pool.objects.filter(tenant=tenant)}
        self.domains: dict[str, SendingDomain] = {}
        self.accounts: dict[Server, ProviderAccount] = {}
        self.addresses_of_others: set[str] = set()
        self.domains_of_others: set[str] = set()
        self.capped: list[int] = []
        self.policy = approvals.policy_of(tenant.pk)

    def run(self) -> Iterator[Report]:
        """Take all rows over, chunk by chunk."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('import mailboxes', %s))", [self.tenant.pk])
        rows = self.table.rows()
        while chunk := list(islice(rows, CHUNK)):
            self.report.read += len(chunk)
            self.take(list(self.accepted(chunk)))
            self.report.bytes_read = self.table.position
            yield self.report
        report = self.report
        if self.capped and not report.dry_run:
            hooks.call("mailboxes.cap_lowered", mailbox_ids=sorted(self.capped), reason="cap lowered")
        Tenant.objects.filter(pk=self.tenant.pk).update(plan_wanted_at=Now())
        audit.record(
            self.actor,
            "mailboxes.imported",
            self.tenant,
            created=report.created,
            updated=report.updated,
            unchanged=report.unchanged,
            refused=report.refused,
            dry_run=report.dry_run,
        )

    def accepted(self, rows: Iterable[Row]) -> Iterator[Entry]:
        """The rows that nothing is wrong with so far; the others are refused."""
        for row in rows:
            found = self.judge(row)
            if isinstance(found, Entry):
                yield found
            else:
                self.refuse(row, found)

    def judge(self, row: Row) -> Entry | Sequence[Refusal]:
        """What the row says, or why it is refused, as far as the file and what is looked up already tell."""
        if row.refusals:
            return row.refusals
        given = mailbox_rows.judge(row.line, _cells(self.table, row))
        if not isinstance(given, Given):
            return given
        first = self.lines.setdefault(given.address.key, row.line)
        pool = self.pools.get(given.pool)
        if first != row.line:
            return [Refusal(row.line, "address", f"is the same address as in line {first}")]
        if reason := self.unusable.get(given.server):
            plain = given.server.security == ProviderAccount.Security.NONE
            return [Refusal(row.line, "smtp_security" if plain else "smtp_host", reason)]
        if pool and pool.archived_at:
            return [Refusal(row.line, "pool", "is archived")]
        return Entry(row, given)

    def refuse(self, row: Row, refusals: Sequence[Refusal]) -> None:
        self.report.refuse(self.refused.add(Row(row.line, row.cells, refusals)))

    def take(self, entries: list[Entry]) -> None:
        """Write one chunk."""
        keys = [entry.given.address.key for entry in entries]
        # In id order, as everywhere.
        found = Mailbox.objects.filter(tenant=self.tenant, address_key__in=keys).order_by("pk")
        list(found.select_for_update(no_key=True).values_list("pk"))
        self.look_at_others(keys, [entry.given.address.domain for entry in entries])
        # Read only now: what a stop committed while we waited for the lock must not be written back.
        known = {mailbox.address_key: mailbox for mailbox in found.select_related("home")}
        names = {entry.given.address.domain for entry in entries} - self.domains.keys()
        self.domains |= {
            domain.name: domain for domain in SendingDomain.objects.filter(tenant=self.tenant, name__in=names)
        }
        new, changed = [], []
        for row, given in entries:
            mailbox = known.get(given.address.key)
            reason = self.why_not(mailbox, given)
            if reason:
                self.refuse(row, [Refusal(row.line, *reason)])
            elif mailbox is None:
                new.append(self.make(given))
            elif self.update(mailbox, given):
                changed.append(mailbox)
            else:
                self.report.unchanged += 1
        Mailbox.objects.bulk_create(new)
        Mailbox.objects.bulk_update(changed, [*SETTINGS, *SECRET], batch_size=100)
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
        if mailbox and mailbox.state == Mailbox.State.RETIRED:
            return "address", "is a retired mailbox, and there is no way back"
        if mailbox and mailbox.sealed_password and not given.password and given.server.host != mailbox.home.host:
            return "smtp_password", "is empty; a stored password does not go to another host, so write it again"
        if mailbox and given.daily_cap and acts.raised_cap(self.policy, mailbox, daily_cap=given.daily_cap) is not None:
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
            home=self.account(given.server),
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
        if given.password:
            mailbox.sealed_password = self.keyring.seal(given.password.encode(), self.place(mailbox))
        return mailbox

    def update(self, mailbox: Mailbox, given: Given) -> bool:
        """Bring a known mailbox up to date, unsaved; False when the file says nothing new."""
        wanted: dict[str, Any] = {
            "pool_id": self.pool(given.pool).pk,
            "home_id": self.account(given.server).pk,
            "display_name": given.display_name,
            "username": given.username or mailbox.username,
            "daily_cap": given.daily_cap,
            "min_gap_seconds": given.min_gap_seconds,
        }
        changes = {
            name: value for name, value in wanted.items() if value is not None and value != getattr(mailbox, name)
        }
        if changes.get("daily_cap", mailbox.daily_cap) < mailbox.daily_cap:
            self.capped.append(mailbox.pk)
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
        return bool(changes) or new_password

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
        return self.pools[name]

    def domain(self, name: str) -> SendingDomain:
        if name not in self.domains:
            self.domains[name] = SendingDomain.objects.create(tenant=self.tenant, name=name)
        return self.domains[name]

    def account(self, server: Server) -> ProviderAccount:
        if server not in self.accounts:
            self.accounts[server] = ProviderAccount.objects.get_or_create(
                tenant=self.tenant,
                kind=ProviderAccount.Kind.SMTP,
                host=server.host,
                port=server.port,
                security=server.security,
            )[0]
        return self.accounts[server]
