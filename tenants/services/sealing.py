"""Sealed secrets of all models: the settings' keyring, which keys are in use, and the move to the newest key.

Nothing here knows what a secret is for. The fields are those of outreach.common.sealed_fields.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import structlog
from django.apps import apps
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Model, QuerySet

from outreach.common import isolation, sealed_fields
from outreach.common.draining import stopping
from outreach.common.errors import BadInput
from outreach.common.sealed_fields import SealedField
from outreach.common.sealing import Keyring, SealBroken, key_id_in
from tenants.models import Tenant
from tenants.services import audit
from tenants.services.actors import Actor

log = structlog.get_logger(__name__)
ROUNDS = 5  # how often rows that others hold are looked at again
PAUSE_SECONDS = 0.2
UNREADABLE = "?"  # the key id of bytes that are no sealed secret

HEADERS = """
SELECT CASE WHEN length({field}) < 2 THEN {field} ELSE substr({field}, 1, 2 + get_byte({field}, 1)) END, count(*)
FROM {table} WHERE {field} <> '' GROUP BY 1"""

# Sealed anew before the row is locked, and written only over the bytes that were read.
WRITE = """
UPDATE {table} AS t SET {field} = told.new
FROM unnest(%s::bigint[], %s::bytea[], %s::bytea[]) AS told (id, old, new)
WHERE t.id = told.id AND t.{field} = told.old RETURNING t.id"""


def keyring() -> Keyring:
    """The keys of CREDENTIAL_KEYS."""
    return _keyring(settings.CREDENTIAL_KEYS)


@functools.lru_cache(maxsize=4)
def _keyring(text: str) -> Keyring:
    return Keyring.parse(text)


def uses() -> Counter[str]:
    """How many secrets of all tenants each key id has sealed; UNREADABLE counts what is no sealed secret."""
    found: Counter[str] = Counter()
    with isolation.everything(), connection.cursor() as cursor:
        for entry in sealed_fields.every():
            cursor.execute(_sql(HEADERS, entry))
            for header, count in cursor.fetchall():
                found[key_id_in(bytes(header)) or UNREADABLE] += count
    return found


@dataclass(frozen=True, slots=True)
class Broken:
    """A secret that can't be opened, by model and id."""

    model: str
    id: int
    reason: str

    def __str__(self) -> str:
        return f"{self.model} {self.id}: {self.reason}"


@dataclass(slots=True)
class Report:
    """How far a rotation has come. `keys` is how many secrets each key id has sealed, once it has ended."""

    newest: str
    dry_run: bool = False
    read: int = 0
    current: int = 0
    resealed: int = 0
    waiting: int = 0  # open with an older key still: in a dry run, or in use by others all the time
    broken: list[Broken] = field(default_factory=list)
    keys: dict[str, int] = field(default_factory=dict)
    removable: list[str] = field(default_factory=list)
    stopped: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return {
            "newest": self.newest,
            "dry_run": self.dry_run,
            "stopped": self.stopped,
            "read": self.read,
            "current": self.current,
            "resealed": self.resealed,
            "waiting": self.waiting,
            "broken": [{"model": row.model, "id": row.id, "reason": row.reason} for row in self.broken],
            "keys": self.keys,
            "removable": self.removable,
        }


def rotate(*, actor: Actor, batch: int = 200, dry_run: bool = False) -> Iterator[Report]:
    """Seal with the newest key whatever an older one has sealed, in all tenants; yield the same Report as it fills.

    Every secret is opened, so that the report also names those that can't be. Each batch is a transaction of
    its own that waits for no row: those that somebody holds come last, and `waiting` counts what was held all the
    time. Ends after the batch under way when the process is asked to stop; the next call goes on from there.
    `removable` lists the older keys that no secret names any more. Raises NotAllowed, and BadInput for a batch of none.
    """
    actor.require("tenants.administer")
    if not 1 <= batch <= 10_000:
        raise BadInput("A batch has 1 to 10,000 rows.", field="batch")
    ring = keyring()
    report = Report(ring.newest.id, dry_run)
    for entry in sealed_fields.every():
        for tenant_id, scope in _owners(_model(entry)):
            with scope:
                yield from _Walk(entry, tenant_id, actor, ring, batch, report).run()
    report.stopped = stopping.is_set()
    report.keys = dict(uses())
    report.removable = [key for key in ring.ids if key != report.newest and key not in report.keys]
    yield report


def _owners(model: type[Model]) -> Iterator[tuple[int | None, AbstractContextManager[None]]]:
    """Whose rows the model has, each with the scope in which the database shows them; None: no tenant's."""
    of_tenants = _has_tenant(model)
    if not of_tenants or model._meta.get_field("tenant").null:
        yield None, isolation.tenants([], platform=True)
    for tenant_id in sorted(isolation.all_tenants()) if of_tenants else ():
        yield tenant_id, isolation.tenants([tenant_id])


@dataclass(slots=True)
class _Walk:
    """The rows of one field and one tenant."""

    entry: SealedField
    tenant_id: int | None
    actor: Actor
    ring: Keyring
    batch: int
    report: Report

    def run(self) -> Iterator[Report]:
        last, held = 0, list[int]()
        while not stopping.is_set() and (found := self._read(pk__gt=last)):
            last = found[-1][0]
            self.report.read += len(found)
            held += self._reseal(found)
            yield self.report
        for _ in range(0 if self.report.dry_run else ROUNDS):
            if not held or stopping.wait(PAUSE_SECONDS):
                break
            ids, held = held, []
            for start in range(0, len(ids), self.batch):
                held += self._reseal(self._read(pk__in=ids[start : start + self.batch]))
            yield self.report
        self.report.waiting += len(held)

    def _rows(self) -> QuerySet[Any]:
        model = _model(self.entry)
        rows = model._base_manager.order_by("pk")
        return rows.filter(tenant_id=self.tenant_id) if _has_tenant(model) else rows

    def _read(self, **which: Any) -> list[tuple[int, Any, bytes]]:
        """The next rows: id, reference, sealed bytes."""
        rows = self._rows().filter(**which).exclude(**{self.entry.field: b""})
        found = rows.values_list("pk", "seal_ref", self.entry.field)[: self.batch]
        return [(pk, seal_ref, bytes(sealed)) for pk, seal_ref, sealed in found]

    def _reseal(self, found: Sequence[tuple[int, Any, bytes]]) -> list[int]:
        """Write one batch; return the ids of rows that somebody held or changed meanwhile."""
        old: dict[int, bytes] = {}
        new: dict[int, bytes] = {}
        for pk, seal_ref, sealed in found:
            place = self.entry.place(self.tenant_id, seal_ref)
            try:
                plaintext = self.ring.open(sealed, place)
            except SealBroken as error:
                self.report.broken.append(Broken(self.entry.model, pk, str(error)))
                continue
            if self.ring.is_current(sealed):
                self.report.current += 1
            else:
                old[pk], new[pk] = sealed, self.ring.seal(plaintext, place)
        done = set() if self.report.dry_run or not old else self._write(old, new)
        self.report.resealed += len(done)
        self.report.current += len(done)
        return [pk for pk in old if pk not in done]

    def _write(self, old: dict[int, bytes], new: dict[int, bytes]) -> set[int]:
        with transaction.atomic():
            free = self._rows().filter(pk__in=old).select_for_update(skip_locked=True, no_key=True)
            ids = list(free.values_list("pk", flat=True))
            with connection.cursor() as cursor:
                cursor.execute(_sql(WRITE, self.entry), [ids, [old[pk] for pk in ids], [new[pk] for pk in ids]])
                done = {row[0] for row in cursor.fetchall()}
            if done:
                before = sorted({key_id_in(old[pk]) for pk in done})
                facts: dict[str, Any] = {"model": self.entry.model, "rows": len(done)}
                subject = self._subject(min(done))
                audit.record(self.actor, "secrets.rotated", subject, before=before, after=self.ring.newest.id, **facts)
        log.info(
            "seals.batch", model=self.entry.model, tenant_id=self.tenant_id, rows=len(done), held=len(old) - len(done)
        )
        return done

    def _subject(self, pk: int) -> Model:
        """Whom the audit names: the tenant, or the first row where there is none."""
        return _model(self.entry)(pk=pk) if self.tenant_id is None else Tenant.objects.get(pk=self.tenant_id)


def _model(entry: SealedField) -> type[Model]:
    return apps.get_model(entry.model)


def _has_tenant(model: type[Model]) -> bool:
    return any(field.name == "tenant" for field in model._meta.get_fields())


def _sql(template: str, entry: SealedField) -> str:
    meta: Any = _model(entry)._meta
    quote = connection.ops.quote_name
    return template.format(table=quote(meta.db_table), field=quote(meta.get_field(entry.field).column))
