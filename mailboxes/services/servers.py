"""Which of the servers that a file names may not be used, looked up before its transaction begins."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from django.conf import settings

from mailboxes.models import ProviderAccount
from mailboxes.services import mailbox_rows
from mailboxes.services.mailbox_rows import Given, Server
from outreach.common import connect
from outreach.common.errors import OutreachError
from outreach.common.tables import Table


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
