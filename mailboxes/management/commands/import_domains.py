"""Take sending domains from a file into a tenant, or take an import back."""

from __future__ import annotations

from mailboxes.management.imports import FleetImport
from mailboxes.models import Import
from mailboxes.services import importing_domains


class Command(FleetImport):
    help = (
        "Import sending domains. Columns: domain; optional dkim_selectors (with blanks between), hourly_cap, "
        "daily_cap, tracking_host, return_path, registrar, registered_on, renews_on (2026-01-31)."
    )
    kind = Import.Kind.DOMAINS
    service = staticmethod(importing_domains.import_domains)
