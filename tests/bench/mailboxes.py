"""`import_mailboxes`: until 1,200 mailboxes are on a ramp, and what 100,000 in one file take of memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests import factories
from tests.bench import house
from tests.bench.commands import measured
from tests.bench.figures import Row, load

COLUMNS = (
    "address,display_name,pool,reserve,smtp_host,smtp_port,smtp_security,smtp_username,smtp_password,daily_cap,"
    "min_gap_seconds"
)
PER_DOMAIN = 3  # as fleets are: a domain bears a few mailboxes
GROWTH_MIB = 24  # that ten times the rows may take more


def rows(names: frozenset[str], *, quick: bool) -> Iterator[Row]:
    """A fleet of 1,200 put on a ramp; then one file of 100,000 and one of a tenth, new and once more."""
    fleet, many, rounds = (1200, 10_000, 1) if quick else (1200, 100_000, 3)
    seconds, loads = [], []
    file = house.STATE / "mailboxes.csv"
    write(file, fleet)
    for number in range(1, rounds + 1):
        loads.append(load())
        tenant = factories.tenant()
        seconds.append(imported(file, tenant.slug, "created", fleet, "--ramp", "standard")[0])
        house.say(f"round {number}: {fleet} mailboxes on a ramp in {seconds[-1]:.1f} s, load {loads[-1]}")
        clear()
    yield Row(
        "import_mailboxes", "s", seconds, [], 60, False, beyond=10, absolute=True, loads=loads,
        note=f"{fleet} mailboxes over {fleet // PER_DOMAIN} domains: checked, sealed and put on a ramp",
    )  # fmt: skip
    write(house.STATE / "tenth.csv", many // 10)
    write(file, many)
    told = {}
    for size, source in ((many // 10, house.STATE / "tenth.csv"), (many, file)):
        tenant = factories.tenant()
        told[size, "new"] = imported(source, tenant.slug, "created", size)
        told[size, "again"] = imported(source, tenant.slug, "unchanged", size)
        write(source, size, cap=30)
        told[size, "changed"] = imported(source, tenant.slug, "updated", size)
        house.say(", ".join(f"{size:,} {what}: {told[size, what][0]:.1f} s, {told[size, what][1]:.0f} MiB"
                            for what in ("new", "again", "changed")))  # fmt: skip
        clear()
    growth = max(told[many, what][1] - told[many // 10, what][1] for what in ("new", "again", "changed"))
    yield Row(
        "import_mailboxes_memory", "MiB", [growth], [], GROWTH_MIB, False, absolute=True, loads=loads,
        peak_mib=[max(told[many, what][1] for what in ("new", "again", "changed"))],
        details={f"{size}_{what}": {"seconds": round(took, 1), "peak_mib": round(mib, 1)}
                 for (size, what), (took, mib) in told.items()},
        note=f"growth of the process's peak from {many // 10:,} to {many:,} rows of one file; all new, all known, "
        "all changed",
    )  # fmt: skip


def write(file: Path, mailboxes: int, cap: int = 40) -> None:
    with file.open("w", encoding="utf-8") as target:
        target.write(COLUMNS + "\n")
        target.writelines(
            f"box{n % PER_DOMAIN}@fleet{n // PER_DOMAIN}.example,Sender {n},Pool {n % 40},no,127.0.0.1,{2525 + n % 4},"
            f"none,box{n},secret of box {n},{cap},60\n"
            for n in range(mailboxes)
        )


def clear() -> None:
    with house.admin() as link:
        link.execute("TRUNCATE mailboxes_mailbox, mailboxes_sendingdomain, mailboxes_import CASCADE")
        link.execute("CHECKPOINT")


def imported(file: Path, slug: str, counted: str, expected: int, *more: str) -> tuple[float, float]:
    """Seconds and peak MiB of the command in a process of its own; all rows must have become `counted`."""
    told, seconds, mib = measured("import_mailboxes", str(file), "--tenant", slug, *more)
    if told[counted] != expected:
        raise RuntimeError(f"The import did not make {expected} rows {counted}: {told}")
    return seconds, mib
