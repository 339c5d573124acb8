"""The fleet as a file that import_mailboxes takes: no secret in it, and importing it again changes nothing."""

from __future__ import annotations

import io
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from django.db import transaction
from django.db.models import QuerySet

from mailboxes import labels
from mailboxes.models import Mailbox
from mailboxes.services import mailbox_rows
from outreach.common import csv_files
from outreach.common.errors import BadInput, NotAllowed
from tenants.models import Tenant
from tenants.services import actors, approvals, audit
from tenants.services.actors import Actor

PERMISSION = "mailboxes.export"
KINDS = ("csv", "jsonl")
COLUMNS = tuple(name for name in mailbox_rows.SHAPE.known if name not in mailbox_rows.SHAPE.verbatim)


@transaction.atomic
def export_mailboxes(
    rows: QuerySet[Mailbox], *, actor: Actor, kind: str = "csv", approval: int | None = None
) -> IO[bytes]:
    """Mailboxes in the columns of import_mailboxes but the password, which an import then leaves as it is.

    Retired ones are left out, since no import takes them, and so are those of tenants in which the actor may not
    export. With more rows than a tenant's line a second person has to agree. Raises NotAllowed, NeedsApproval,
    BadInput for an unknown kind of file or more rows than one takes.
    """
    actor.require(PERMISSION)
    if kind not in KINDS:
        raise BadInput(f"A file of mailboxes is {' or '.join(KINDS)}, not {kind!r}.", field="file")
    allowed = actors.visible_to(actor, rows, PERMISSION).exclude(state=Mailbox.State.RETIRED)
    if not csv_files.count(allowed) and rows.exclude(state=Mailbox.State.RETIRED).exists():
        raise NotAllowed(f"{actor.label} may not do {PERMISSION} with any of these rows.", permission=PERMISSION)
    counts: Counter[int] = Counter()

    def cells(row: Mailbox) -> Iterable[Any]:
        counts[row.tenant_id] += 1
        return _cells(row)

    found = csv_files.in_chunks(allowed.select_related("pool", "home", "ramp").defer("sealed_password"))
    made = csv_files.write(found, COLUMNS, cells) if kind == "csv" else _json_lines(found, cells)
    with ExitStack() as if_refused:
        if_refused.callback(made.close)
        tenants = list(Tenant.objects.filter(pk__in=list(counts)).order_by("pk"))
        used = {
            tenant.pk: approvals.require(actor, "mailboxes.export", tenant, approval=approval, rows=counts[tenant.pk])
            for tenant in tenants
        }
        for tenant in tenants:
            agreed = used[tenant.pk]
            audit.record(actor, "mailboxes.exported", tenant, rows=counts[tenant.pk], approval=agreed and agreed.pk)
        if_refused.pop_all()
    return made


def save(file: IO[bytes], path: Path, *, actor: Actor) -> None:
    """Write the file under a name that nothing has yet, for its owner alone. Raises NotAllowed, BadInput."""
    actor.require(PERMISSION)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except (OSError, ValueError) as error:  # ValueError: no path has such characters
        reason = getattr(error, "strerror", None) or error
        raise BadInput(f"{str(path)!r} can't be written: {reason}. Name another file.", field="file") from error
    with os.fdopen(handle, "wb") as target:
        while part := file.read(1 << 16):
            target.write(part)


def _cells(row: Mailbox) -> Iterator[Any]:
    ramp = row.ramp and row.ramp.archived_at is None and row.ramp.name  # no import takes one that is out of use
    values = {
        "address": row.address,
        "pool": row.pool.name,
        "smtp_host": row.home.host,
        "smtp_port": row.home.port,
        "smtp_security": row.home.security,
        "display_name": row.display_name,
        "reserve": "yes" if row.state == Mailbox.State.RESERVE else "no",
        "smtp_username": row.username,
        "daily_cap": row.daily_cap,
        "min_gap_seconds": row.min_gap_seconds,
        "tags": labels.joined(row.tags),
        "signature": row.signature,
        "ramp": ramp or "",
        "imap_host": row.home.imap_host,
        "imap_port": row.home.imap_port if row.home.imap_host else "",
    }
    return (values[name] for name in COLUMNS)


def _json_lines(rows: Iterable[Mailbox], cells: csv_files.Cells) -> IO[bytes]:
    """One object a line; cells as in the CSV file, since a formula in one is refused wherever it stands."""
    made: Any = SpooledTemporaryFile(csv_files.MEMORY_BYTES)  # noqa: SIM115 (whoever reads it closes it)
    try:
        text = io.TextIOWrapper(made, encoding="utf-8", newline="\n", write_through=True)
        for row in rows:
            line = dict(zip(COLUMNS, map(csv_files.cell, cells(row)), strict=True))
            text.write(json.dumps(line, ensure_ascii=False) + "\n")
        text.detach()
        made.seek(0)
    except BaseException:
        made.close()
        raise
    return made
