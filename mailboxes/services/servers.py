"""The servers that a file names: which may not be used, and by which the tenant leaves already."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from django.conf import settings

from mailboxes.models import Mailbox, ProviderAccount
from mailboxes.services import mailbox_rows
from mailboxes.services.mailbox_rows import Given, Server
from outreach.common import connect
from outreach.common.errors import OutreachError
from outreach.common.tables import Table
from tenants.models import Tenant


def unusable(table: Table) -> dict[Server, str]:
    """Why the servers that may not be used may not; each is looked up once."""
    servers: set[Server] = set()
    for row in table.rows():
        if not row.refusals and isinstance(
            given := mailbox_rows.judge(row.line, mailbox_rows.cells(table, row)), Given
        ):
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


def server_of(account: ProviderAccount) -> Server:
    """An account as a file names it."""
    return Server(account.host, account.port, account.security)


class Accounts:
    """The tenant's ways out while a file is read: made where one is missing, and named in the preview."""

    def __init__(self, tenant: Tenant) -> None:
        found = list(ProviderAccount.objects.filter(tenant=tenant))
        self.tenant = tenant
        self.names = {account.pk: str(account) for account in found}
        self.made: list[int] = []
        self._known = {server_of(account) for account in found}
        self._closed_hosts = {account.host for account in found if account.state != ProviderAccount.State.ACTIVE}
        self._taken: dict[Server, ProviderAccount] = {}

    def take(self, server: Server) -> ProviderAccount:
        """The account of that server."""
        if server not in self._taken:
            account, is_new = ProviderAccount.objects.get_or_create(
                tenant=self.tenant,
                kind=ProviderAccount.Kind.SMTP,
                host=server.host,
                port=server.port,
                security=server.security,
            )
            self._taken[server] = account
            self.names[account.pk] = str(account)
            if is_new:
                self.made.append(account.pk)
        return self._taken[server]

    def passes_by_a_stop(self, mailbox: Mailbox | None, server: Server) -> bool:
        """Whether this would open another way to a host one of whose accounts was stopped."""
        if server.host not in self._closed_hosts:
            return False
        home = server_of(mailbox.home) if mailbox else None
        return server not in self._known or (home is not None and home.host == server.host and home != server)
