"""Is the audit still what was written? Every chain is followed from its first entry, in order, to its head."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from tenants import chain
from tenants.chain import Fault, Head
from tenants.models import AuditChain, Tenant
from tenants.services import actors, audit
from tenants.services.actors import Actor

CHUNK = 5_000
COLUMNS = ("id", "hash", *chain.PARTS)
JSON_PARTS = tuple(COLUMNS.index(name) for name in ("before", "after", "facts"))
# A time that Python has no date for, which the function that appends takes from whoever calls it, is read as NULL.
READ = [
    f"CASE WHEN {name} >= '0001-01-02' AND {name} < '9999-12-31' THEN {name} END" if name == "at" else name
    for name in COLUMNS
]
ROWS = f"SELECT {', '.join(READ)} FROM tenants_auditentry WHERE {{chain}} AND seq > %s ORDER BY seq LIMIT {CHUNK}"  # noqa: S608 (names of ours)
STANDS = "SELECT seq, hash FROM tenants_auditchain WHERE {chain}"

Row = tuple[int, bytes, dict[str, Any]]


@dataclass(slots=True)
class Report:
    """How far a verification is: entries read, where each chain stands, and the first fault of each broken one."""

    entries: int = 0
    heads: list[Head] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    further: int = 0  # broken entries behind the first ones
    known: int = 0  # heads signed earlier that were looked for

    @property
    def holds(self) -> bool:
        return not self.faults


def chains_of(actor: Actor, signed: Sequence[Head] = ()) -> list[int | None]:
    """The chains that this actor may read: of its tenants, and the platform's if it may read them all.

    Who may read them all reads those of signed heads too: a tenant may be gone with everything it had.
    """
    ids = list(actors.visible_to(actor, Tenant.objects.all(), "tenants.audit").values_list("pk", flat=True))
    if "tenants.audit" not in actor.everywhere:
        return sorted(ids)
    return [None, *sorted({*ids, *(head.tenant_id for head in signed if head.tenant_id is not None)})]


def verify(
    tenant_ids: Iterable[int | None],
    *,
    actor: Actor,
    signed: Sequence[Head] = (),
    each: Callable[[Sequence[Row]], None] = lambda rows: None,
) -> Iterator[Report]:
    """Follow the chains of these tenants (None: the platform's); yields the growing report, the last one is whole.

    `signed` are heads that were kept elsewhere; those of chains that are not looked at are left out. `each` gets the
    rows as they are read, those behind a fault too. The rows must be in the scope of the transaction. Raises
    NotAllowed unless the actor may read the whole audit.
    """
    report = Report()
    for tenant_id in tenant_ids:
        marks = [head for head in signed if head.tenant_id == tenant_id]
        report.known += len(marks)
        actor.require("tenants.audit", AuditChain(tenant_id=tenant_id))
        yield from _verify_one(tenant_id, marks, each, report)


def _verify_one(
    tenant_id: int | None, marks: Sequence[Head], each: Callable[[Sequence[Row]], None], report: Report
) -> Iterator[Report]:
    by_seq = {head.seq: head.hash for head in marks if head.seq}
    end = Head(tenant_id, 0, chain.BEGINNING)
    reached, faults = 0, list[Fault]()
    while True:
        rows = _rows(tenant_id, reached)
        if not rows:
            stands = _head(tenant_id)
            if stands.seq > reached and _rows(tenant_id, reached):
                continue  # somebody has written meanwhile
            break
        each(rows)
        report.entries += len(rows)
        reached = rows[-1][2]["seq"]
        end = _follow(end, rows, by_seq, faults)
        yield report
    if (at_the_end := _fault_at_the_end(end, stands, marks)) is not None:
        faults.append(at_the_end)
    if faults:
        report.faults.append(faults[0])
        report.further += len(faults) - 1
    else:
        report.heads.append(end)
    yield report


def _follow(end: Head, rows: Sequence[Row], marks: Mapping[int, bytes], faults: list[Fault]) -> Head:
    """Go over these rows, adding what is wrong; where the chain is broken it is taken up again behind the break.

    So one bad row, which whoever writes in the database can put in, hides nothing that is done to later ones.
    """
    while True:
        found = chain.follow(audit.keys().chain, end, rows, marks)
        if isinstance(found, Head):
            return found
        faults.append(found)
        place = next(i for i, (_id, _hash, entry) in enumerate(rows) if entry["seq"] >= found.seq)
        _row_id, stored, entry = rows[place]
        end, rows = Head(end.tenant_id, entry["seq"], stored), rows[place + 1 :]


def _fault_at_the_end(end: Head, stands: Head, marks: Sequence[Head]) -> Fault | None:
    """What only shows once a chain's last row is read: whether rows behind it are gone."""
    for head in marks:
        if head.seq > end.seq:
            what = f"the tail is cut off after entry {end.seq}: the signed head names entry {head.seq}"
            return Fault(end.tenant_id, end.seq + 1, None, what)
    if stands.seq > end.seq:
        what = f"the tail is cut off after entry {end.seq}: the chain has counted {stands.seq}"
        return Fault(end.tenant_id, end.seq + 1, None, what)
    if stands != end:
        return Fault(end.tenant_id, stands.seq, None, f"the chain's own head was changed: it says {stands.seq} entries")
    return None


def _where(tenant_id: int | None) -> tuple[str, list[int]]:
    return ("tenant_id IS NULL", []) if tenant_id is None else ("tenant_id = %s", [tenant_id])


def _rows(tenant_id: int | None, after: int) -> list[Row]:
    which, values = _where(tenant_id)
    with connection.cursor() as cursor:
        cursor.execute(ROWS.format(chain=which), [*values, after])
        return [_row(values) for values in cursor.fetchall()]


def _row(values: tuple[Any, ...]) -> Row:
    read = list(values)
    for place in JSON_PARTS:
        read[place] = None if read[place] is None else _json(read[place])
    return read[0], bytes(read[1]), dict(zip(chain.PARTS, read[2:], strict=True))


def _json(text: str) -> Any:
    """What it says; UNREADABLE for what no entry of ours holds: too deep, or a number too long for Python."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return chain.UNREADABLE


def _head(tenant_id: int | None) -> Head:
    which, values = _where(tenant_id)
    with connection.cursor() as cursor:
        cursor.execute(STANDS.format(chain=which), values)
        found = cursor.fetchone()
    return Head(tenant_id, found[0], bytes(found[1])) if found else Head(tenant_id, 0, chain.BEGINNING)


def as_line(row: Row) -> bytes:
    """An entry as one line of an export."""
    row_id, stored, entry = row
    said: Mapping[str, Any] = {
        "id": row_id,
        **entry,
        "at": entry["at"] and entry["at"].isoformat(),
        "hash": stored.hex(),
    }
    return json.dumps(said, ensure_ascii=True).encode() + b"\n"
