"""How long 100,000 entries of one chain take to verify, and what writing an entry adds to an act."""

from __future__ import annotations

import time
from collections.abc import Iterator

from django.db import transaction

from outreach.common import isolation
from tenants.services import audit, tenants, verifying
from tenants.services.actors import SYSTEM
from tests.bench import house
from tests.bench.figures import Row, load
from tests.bench.ground import clear

SECONDS, BEYOND = 10, 3


def rows(names: frozenset[str], *, quick: bool) -> Iterator[Row]:
    """Each round verifies the whole chain again, from its first entry."""
    count, rounds = (10_000, 1) if quick else (100_000, 3)
    clear()
    with isolation.entered(isolation.Scope(frozenset(), platform=True)):
        tenant = tenants.create("audited", actor=SYSTEM)
        started = time.monotonic()
        for begin in range(0, count, 1000):
            with transaction.atomic():
                for number in range(begin, begin + 1000):
                    facts = {"level": "connection", "mailboxes": number}
                    audit.record(SYSTEM, "mailbox.stopped", tenant, reason="no answer", before="active", **facts)
        written = count / (time.monotonic() - started)
        house.say(f"{count} entries written, {written:.0f} a second")
        seconds, loads = [], []
        for _ in range(rounds):
            loads.append(load())
            started = time.monotonic()
            *_, report = verifying.verify([tenant.pk], actor=SYSTEM)
            seconds.append(time.monotonic() - started)
            if report.faults or report.entries != count + 1:
                raise RuntimeError(f"the chain of the bench does not hold: {report}")
    note = f"{count + 1} entries of one chain verified; written at {written:.0f} a second"
    yield Row("audit_verify", "s", seconds, [], SECONDS, False, beyond=BEYOND, absolute=True, loads=loads, note=note)
