"""The servers that a file names: which may not be used, and by which the tenant leaves already."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.conf import settings

from mailboxes.models import Mailbox, ProviderAccount
from mailboxes.services import mailbox_rows
from mailboxes.services.mailbox_rows import Given, Reader, Server
from outreach.common import connect, public_suffixes
from outreach.common.errors import OutreachError
from outreach.common.tables import Table
from tenants.models import Tenant


def unusable(table: Table) -> dict[Server | Reader, str]:
    """Why the servers that may not be used may not; each is looked up once."""
    servers: set[Server | Reader] = set()
    for row in table.rows():
        if not row.refusals and isinstance(
            given := mailbox_rows.judge(row.line, mailbox_rows.cells(table, row)), Given
        ):
            servers.add(given.server)
            if given.reader:
                servers.add(given.reader)
    with ThreadPoolExecutor(8) as threads:
        reasons = threads.map(_why_unusable, servers)
    return {server: reason for server, reason in zip(servers, reasons, strict=True) if reason}


def _why_unusable(server: Server | Reader) -> str:
    allowed = settings.SMTP_ALLOW_LOOPBACK
    if isinstance(server, Reader):
        return _refused(server, connect.IMAP_PORTS)
    plain = server.security == ProviderAccount.Security.NONE
    # Without TLS no port is open to the world, so only a host that is loopback throughout passes.
    if not plain:
        return _refused(server, settings.SMTP_PORTS)
    if allowed and not _refused(server, ()):
        return ""
    return "none would send the password in the clear: only to this machine, and only with SMTP_ALLOW_LOOPBACK=1"


def _refused(server: Server | Reader, ports: Collection[int]) -> str:
    try:
        connect.check_host(server.host, server.port, allow_loopback=settings.SMTP_ALLOW_LOOPBACK, ports=ports)
    except OutreachError as error:
        return str(error)
    return ""


def server_of(account: ProviderAccount) -> Server:
    """An account as a file names it."""
    return Server(account.host, account.port, account.security)


def _are_one_house(host: str, other: str) -> bool:
    """Whether somebody registered both names; of addresses only the very same one counts."""
    if host == other:
        return True
    if any(":" in name or name.rpartition(".")[2][:1].isdigit() for name in (host, other)):
        return False
    return public_suffixes.organisational(host) == public_suffixes.organisational(other)


class Accounts:
    """The tenant's ways out while a file is read: made where one is missing, and named in the preview."""

    def __init__(self, tenant: Tenant) -> None:
        found = list(ProviderAccount.objects.filter(tenant=tenant, kind=ProviderAccount.Kind.SMTP))
        self.tenant = tenant
        self.names = {account.pk: str(account) for account in found}
        self.made: list[int] = []
        self.read_by: list[list[Any]] = []  # account, host and port of before, host and port of now
        self._known = {server_of(account): account for account in found}
        self._closed_hosts = {account.host for account in found if account.state != ProviderAccount.State.ACTIVE}
        self._taken: dict[Server, ProviderAccount] = {}
        self._readers = {server: _reader_of(account) for server, account in self._known.items()}

    def take(self, given: Given) -> ProviderAccount:
        """The account of that server, which has the reader that the row names."""
        server = given.server
        if server not in self._taken:
            reader = given.reader or Reader("", mailbox_rows.IMAPS)
            account, is_new = ProviderAccount.objects.get_or_create(
                tenant=self.tenant,
                kind=ProviderAccount.Kind.SMTP,
                host=server.host,
                port=server.port,
                security=server.security,
                defaults={"imap_host": reader.host, "imap_port": reader.port},
            )
            self._taken[server] = account
            self.names[account.pk] = str(account)
            if is_new:
                self.made.append(account.pk)
            self._readers[server] = _reader_of(account)
        account = self._taken[server]
        if given.reader and given.reader != self._readers[server]:
            before = [account.imap_host, account.imap_port]
            account.imap_host, account.imap_port = given.reader.host, given.reader.port
            account.save(update_fields=["imap_host", "imap_port"])
            self._readers[server] = given.reader
            if account.pk not in self.made:
                self.read_by.append([account.pk, *before, account.imap_host, account.imap_port])
        return account

    def why_not_read_by(self, mailbox: Mailbox | None, given: Given) -> tuple[str, str] | None:
        """Column and reason, where stored passwords would go to a reader that nobody gave them for."""
        known, wanted = self._readers.get(given.server), given.reader
        if known and wanted and wanted != known:
            return "imap_host", f"is {known.host} port {known.port} for this server already"
        is_old = given.server in self._known or given.server in self._taken
        if wanted and not known and is_old and not _are_one_house(given.server.host, wanted.host):
            return "imap_host", "is of another house than smtp_host, and this server has passwords; set it by hand"
        reader = known or wanted
        if reader and mailbox and mailbox.sealed_password and not given.password:
            own = _reader_of(mailbox.home)
            if reader != own and not _are_one_house(given.server.host, reader.host):
                return "smtp_password", "is empty; a stored password does not go to another host, so write it again"
        return None

    def passes_by_a_stop(self, mailbox: Mailbox | None, server: Server) -> bool:
        """Whether this would open another way to a host one of whose accounts was stopped."""
        if server.host not in self._closed_hosts:
            return False
        home = server_of(mailbox.home) if mailbox else None
        return server not in self._known or (home is not None and home.host == server.host and home != server)


def _reader_of(account: ProviderAccount) -> Reader | None:
    return Reader(account.imap_host, account.imap_port) if account.imap_host else None
