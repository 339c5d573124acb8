"""What the history costs: the planner, an import of mailboxes and a campaign with its triggers, and without them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager

from mailboxes.services import importing
from tenants.services.actors import SYSTEM
from tests import factories
from tests.bench import house, walls
from tests.bench.figures import Row

TRIGGERS = "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE tgname LIKE 'pgtrigger\\_%' ORDER BY 1, 2"
HEADER = "address,smtp_username,smtp_password,pool,smtp_host,smtp_port,smtp_security\n"
_imports = itertools.count(1)


@contextmanager
def without_history() -> Iterator[None]:
    """Its triggers sleep."""
    with house.admin() as link:
        found = link.execute(TRIGGERS).fetchall()
        for table, name in found:
            link.execute(f"ALTER TABLE {table} DISABLE TRIGGER {name}")
    try:
        yield
    finally:
        with house.admin() as link:
            for table, name in found:
                link.execute(f"ALTER TABLE {table} ENABLE TRIGGER {name}")


def mailboxes(count: int) -> float:
    """Seconds for the import of so many new mailboxes into a new tenant."""
    number, tenant = next(_imports), factories.tenant()
    pool, home = factories.pool(tenant), factories.account(tenant)
    file = house.STATE / "history.csv"
    with file.open("w", encoding="utf-8") as out:
        out.write(HEADER)
        for n in range(count):
            address = f"box{n}@history{number}-{n % 60}.example"
            out.write(f"{address},{address},a password,{pool.name},{home.host},{home.port},{home.security}\n")
    started = time.perf_counter()
    report = list(importing.import_mailboxes(tenant, file, actor=SYSTEM))[-1]
    spent = time.perf_counter() - started
    if report.created != count:
        raise RuntimeError(f"{report.created} of {count} mailboxes were imported: {report.refusals[:3]}")
    return spent


def rows(names: frozenset[str], *, quick: bool) -> Iterator[Row]:
    """Mailboxes are what is imported, since contacts have no history."""
    count = 1200 if quick else 6000
    brought_in = (lambda: mailboxes(count), f"{count} mailboxes")
    yield from walls.compared(names, "history", without_history, "the history", brought_in, quick=quick)
