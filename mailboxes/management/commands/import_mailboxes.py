"""Take mailboxes from a file into a tenant, or take an import back."""

from __future__ import annotations

from mailboxes.management.imports import FleetImport
from mailboxes.models import Import
from mailboxes.services import importing


class Command(FleetImport):
    help = (
        "Import mailboxes. Columns: address, pool, smtp_host, smtp_port, smtp_security (tls, starttls); optional "
        "display_name, reserve (yes, no), smtp_username, smtp_password, daily_cap, min_gap_seconds."
    )
    kind = Import.Kind.MAILBOXES
    service = staticmethod(importing.import_mailboxes)
