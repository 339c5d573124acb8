"""Addresses and domains that must not be mailed, from a file.

What waits for them is stopped in the transaction that records them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Now

from campaigns.models import Suppression, SuppressionList
from campaigns.services import sharing, suppression, suppression_lists
from outreach.common import staging, yaml_files
from outreach.common.errors import BadInput
from outreach.common.hashing import Hasher
from outreach.common.refusals import Refusal, RefusedRows, Report, Row
from outreach.common.tables import Shape, Table
from tenants.models import Tenant
from tenants.services import audit
from tenants.services.actors import Actor

SHAPE = Shape(one_of=("email", "address", "domain"), optional=("kind", "reason", "source", "proof"))
STAGE = "suppression_stage"
COLUMNS = (
    ("line", "integer"),
    ("kind", "text"),
    ("hash", "bytea"),
    ("hint", "text"),
    ("domain", "text"),
    ("reason", "text"),
    ("source", "text"),
    ("proof", "text"),
)
LONGEST = {"source": 200, "proof": 500}
EVERY = 10_000  # rows between two reports
PUSHED = 5000  # entries that one push is told of

# Of an entry that stands there several times the first line counts; what is in force already, in this list and for
# this reason, stays as it is. Opt-outs go to the list of them, so that no removal of another takes them along.
TAKE_OVER = """
WITH added AS (
    INSERT INTO campaigns_suppression (
        tenant_id, campaign_id, suppression_list_id, scope, kind, hash, hint, domain, reason, source, proof, via,
        created_at
    )
    SELECT %(tenant)s, NULL, CASE WHEN reason = 'opt_out' THEN %(opt_outs)s::bigint ELSE %(list)s::bigint END,
        %(scope)s, kind, hash, hint, domain, reason, source, proof, %(via)s, now()
    FROM (SELECT DISTINCT ON (hash, reason) * FROM suppression_stage ORDER BY hash, reason, line) AS once
    ON CONFLICT (hash, tenant_id, campaign_id, suppression_list_id, reason) WHERE lifted_at IS NULL DO NOTHING
    RETURNING hash, kind
), told AS (
    INSERT INTO suppression_new SELECT DISTINCT hash, kind <> 'address' FROM added
)
SELECT count(*) FROM added"""


def import_suppressions(
    tenant: Tenant | None,
    path: Path | str,
    *,
    actor: Actor,
    dry_run: bool = False,
    refused_path: Path | str | None = None,
    sheet: str = "",
    suppression_list: SuppressionList | None = None,
    file_name: str = "",
    keep_refused: bool = True,
) -> Iterator[Report]:
    """Suppress what a file lists, for a tenant or, without one, for the platform; yield the Report as it fills.

    With a list the entries stand in it, except opt-outs, which stand in the tenant's list of them. `file_name` is
    what the file was called by who sent it; without `keep_refused` no file of refused rows is left.

    A row holds an address, a domain (`example.com`) or a domain with all below it (`*.example.com`, or kind
    wildcard). Entries in force already are `unchanged`, more lines of one entry `repeated`. Refused rows go
    to `refused_path`, by default the file's own name with .refused.csv behind it; a dry run rolls back.
    Between two reports the database connection may be in the middle of a COPY: leave it alone.
    Raises NotAllowed, and BadInput about the file as a whole; then nothing was imported.
    """
    if tenant is None:
        actor.require("campaigns.suppress_platform")
    else:
        actor.require("campaigns.suppress", tenant)
    report = Report(dry_run=dry_run)
    with Table(path, SHAPE, sheet=sheet) as table:
        refused = RefusedRows(table, Path(refused_path or f"{path}.refused.csv"))
        report.bytes_total = table.size
        try:
            with transaction.atomic():
                staging.create(STAGE, COLUMNS)
                staging.create("suppression_new", (("hash", "bytea"), ("wide", "boolean")))
                yield from _stage(tenant, table, refused, report)
                report.phase = "writing"
                yield report
                _take_over(tenant, file_name or Path(path).name, suppression_list, report)
                if not dry_run:
                    _record(tenant, suppression_list, actor, report)
                transaction.set_rollback(dry_run)
            if keep_refused and not dry_run:
                report.refused_file = str(refused.keep() or "")
        finally:
            refused.discard()
    if dry_run:  # what was only tried is on record too
        with transaction.atomic():
            _record(tenant, suppression_list, actor, report)
    report.phase = "done"
    yield report


def _stage(tenant: Tenant | None, table: Table, refused: RefusedRows, report: Report) -> Iterator[Report]:
    keyed = suppression.hasher()
    lines: list[str] = []
    with staging.copying(STAGE) as copy:
        for row in table.rows():
            report.read += 1
            cells = dict(zip(table.columns, row.cells, strict=True))
            found = row.refusals or judge(row.line, cells, keyed, platform=tenant is None)
            if isinstance(found, Suppression):
                named = (found.hint, found.domain, found.reason, found.source, found.proof)
                values = (row.line, found.kind, f"\\x{found.hash.hex()}", *named)
                lines.append("\t".join(str(value).replace("\\", "\\\\") for value in values) + "\n")
                if len(lines) >= staging.LINES_PER_WRITE:
                    copy.write("".join(lines).encode())
                    lines.clear()
            else:
                report.refuse(refused.add(Row(row.line, row.cells, found)))
            if report.read % EVERY == 0:
                report.bytes_read = table.position
                yield report
        copy.write("".join(lines).encode())
    report.bytes_read = table.size


def judge(line: int, cells: Mapping[str, str], keyed: Hasher, *, platform: bool) -> Suppression | list[Refusal]:
    """An unsaved entry with kind, hash, hint, domain and reason, or what is wrong with the row."""
    wrong: list[Refusal] = []
    given = [(name, cells[name].strip()) for name in SHAPE.one_of if cells.get(name, "").strip()]
    name, text = given[0] if given else (next(name for name in SHAPE.one_of if name in cells), "")
    kind, reason = cells.get("kind", "").strip().lower(), cells.get("reason", "").strip().lower()
    found = Suppression()
    if len(given) != 1:
        several = " and ".join(name for name, _ in given)
        wrong.append(Refusal(line, name, f"stands beside another: fill one of {several}" if given else "is empty"))
    elif kind and kind not in Suppression.Kind.values:
        wrong.append(Refusal(line, "kind", f"must be empty or one of {', '.join(Suppression.Kind.values)}"))
    else:
        if kind == Suppression.Kind.WILDCARD and not text.startswith("*."):
            text = f"*.{text}"
        try:
            found = suppression.entry(text, keyed)
        except BadInput as error:
            wrong.append(Refusal(line, name, str(error)))
        else:
            if found.kind != Suppression.Kind.ADDRESS and "." not in found.domain:
                wrong.append(Refusal(line, name, "is a whole top-level domain"))
            elif (kind and kind != found.kind) or (name != "address" and (name == "email") != ("@" in text)):
                wrong.append(Refusal(line, name, f"is of the kind {found.kind}, which does not fit here"))
    found.reason = reason or Suppression.Reason.IMPORT
    if found.reason not in Suppression.Reason.values:
        wrong.append(Refusal(line, "reason", f"must be empty or one of {', '.join(Suppression.Reason.values)}"))
    elif platform and found.reason == Suppression.Reason.OPT_OUT:
        wrong.append(Refusal(line, "reason", "is opt_out, which always belongs to a tenant"))
    for name, most in LONGEST.items():
        text = cells.get(name, "").strip()
        if len(text) > most or not yaml_files.storable(text) or set(text) & set("\t\r\n"):
            wrong.append(Refusal(line, name, f"must be one line of at most {most} characters"))
        setattr(found, name, text)
    return wrong or found


def _take_over(tenant: Tenant | None, file_name: str, suppression_list: SuppressionList | None, report: Report) -> None:
    opt_outs = None
    if suppression_list is not None:
        suppression_lists.taking(suppression_list, tenant)
    if tenant and staging.row(f"SELECT EXISTS (SELECT FROM {STAGE} WHERE reason = 'opt_out')", {})[0]:
        opt_outs = suppression_lists.of_opt_outs(tenant)
    values = {
        "list": suppression_list and suppression_list.pk,
        "opt_outs": opt_outs and opt_outs.pk,
        "tenant": tenant.pk if tenant else None,
        "scope": Suppression.Scope.TENANT if tenant else Suppression.Scope.PLATFORM,
        "via": f"import of {file_name}"[:100],
    }
    distinct, shared = staging.row(
        f"SELECT count(DISTINCT (hash, reason)), coalesce(bool_or(reason = ANY (%(shared)s)), FALSE) FROM {STAGE}",
        {"shared": list(Suppression.SHARED_REASONS)},
    )
    report.created = staging.row(TAKE_OVER, values)[0]
    report.unchanged = distinct - report.created
    report.repeated = report.read - report.refused - distinct
    if report.dry_run:
        return
    if tenant:  # the tenant's row before its messages: lock order
        Tenant.objects.filter(pk=tenant.pk).update(plan_wanted_at=Now())
    _push(tenant.pk if tenant else None)
    if shared:
        sharing.ring(tenant)


def _push(tenant_id: int | None) -> None:
    """Stop what waits, telling of all new entries in pieces; from suppression.BULK addresses on all at once."""
    values: dict[str, Any] = {"limit": PUSHED, "last": b"", "wide": True}
    addresses = staging.row("SELECT count(*) FROM suppression_new WHERE NOT wide", {})[0]
    for wide in (True, False):
        values.update(wide=wide, last=b"")
        if not wide and addresses >= suppression.BULK:
            values["limit"] = suppression.BULK  # so many make it match all contacts with all entries, in one pass
        while True:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT hash FROM suppression_new WHERE wide = %(wide)s AND hash > %(last)s"
                    " ORDER BY hash LIMIT %(limit)s",
                    values,
                )
                hashes = [bytes(found) for (found,) in cursor.fetchall()]
            if not hashes:
                break
            suppression.push(tenant_id, hashes)
            if len(hashes) >= suppression.BULK:
                return
            values["last"] = hashes[-1]


def _record(tenant: Tenant | None, suppression_list: SuppressionList | None, actor: Actor, report: Report) -> None:
    counts: dict[str, Any] = {"created": report.created, "unchanged": report.unchanged, "refused": report.refused}
    subject = suppression_list or tenant or Suppression
    audit.record(actor, "suppressions.imported", subject, **counts, dry_run=report.dry_run)
