"""Mailbox files for tests of the import, and what it made of them."""

from __future__ import annotations

import csv
import io

from django.conf import settings

from mailboxes.models import Mailbox
from mailboxes.services import importing
from tenants.services.actors import SYSTEM
from tests import factories

CANARY = "canary-Pa55word"
COLUMNS = (
    "address,display_name,pool,reserve,smtp_host,smtp_port,smtp_security,smtp_username,smtp_password,"
    "daily_cap,min_gap_seconds"
)


def row(address="ann@sender.example", **changes) -> str:
    cells = {
        "address": address,
        "display_name": "Ann Lee",
        "pool": "north",
        "reserve": "no",
        "smtp_host": "127.0.0.1",
        "smtp_port": "2525",
        "smtp_security": "none",
        "smtp_username": "ann",
        "smtp_password": CANARY,
        "daily_cap": "50",
        "min_gap_seconds": "90",
    }
    line = io.StringIO()
    csv.writer(line).writerow((cells | changes).values())
    return line.getvalue().removesuffix("\r\n")


def run(tenant, path, **options):
    *_, report = importing.import_mailboxes(tenant, path, actor=SYSTEM, **options)
    return report


def reasons(report) -> list[tuple[int, str]]:
    return [(refusal.line, refusal.column) for refusal in report.refusals]


def opened(mailbox: Mailbox) -> str:
    place = (str(mailbox.tenant_id), "mailboxes.Mailbox", str(mailbox.seal_ref), "smtp_password")
    return factories.Keyring.parse(settings.CREDENTIAL_KEYS).open(bytes(mailbox.sealed_password), place).decode()
