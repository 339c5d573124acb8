"""`validate_contacts` against a name server on this machine. BENCH_CONTACTS sets how many contacts (100,000)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from outreach.demo import zones
from tests.bench import house
from tests.bench.commands import measured
from tests.bench.figures import Row, load
from tests.bench.ground import CONTACTS

PEOPLE = int(os.environ.get("BENCH_CONTACTS", "100000"))
AT_EACH_DOMAIN = 20  # contacts
RESET = "UPDATE campaigns_contact SET validity = '', validity_reason = '', validated_at = NULL, operator = ''"


def rows(names: frozenset[str], *, quick: bool) -> Iterator[Row]:
    """Three rounds on contacts without a verdict, nothing known of their domains; then a tenth, for the memory."""
    from tests import factories

    people, rounds = (20_000, 1) if quick else (PEOPLE, 3)
    tenant, small = factories.tenant(), factories.tenant()
    with house.admin() as link:
        link.execute("SET session_replication_role = replica")
        for owner, count in ((tenant, people), (small, people // 10)):
            link.execute(_contacts(), {"tenant": owner.pk, "count": count, "domains": count // AT_EACH_DOMAIN})
        link.execute("VACUUM (ANALYZE) campaigns_contact")
    ours, asked, peaks, loads = [], [], [], []  # type: ignore[var-annotated]
    with zones.process("localhost") as server:
        for number in range(1, rounds + 1):
            loads.append(load())
            found, seconds, mib = validated(tenant.slug, server, people)
            ours.append(people / seconds)
            asked.append(found["domains_asked"])
            peaks.append(mib)
            house.say(f"round {number}: {ours[-1]:,.0f} contacts/s, {asked[-1]:,} domains asked, {mib:.0f} MiB, "
                      f"load {loads[-1]}")  # fmt: skip
        _, _, small_mib = validated(small.slug, server, people // 10)
    yield Row(
        "validation", "rows/s", ours, [], 3300, True, absolute=True, peak_mib=peaks, loads=loads,
        details={"domains_asked": asked[-1], "seconds": round(people / ours[-1], 1)},
        note=f"{people} contacts of {people // AT_EACH_DOMAIN} domains, none known before, start to end; "
        "the name server runs beside it",
    )  # fmt: skip
    yield Row(
        "validation_memory", "MiB", peaks, [], 200, False, absolute=True, loads=loads,
        details={"peak_mib_of_a_tenth": round(small_mib, 1)},
        note=f"peak of the process; with a tenth of the contacts it is {small_mib:.0f} MiB",
    )  # fmt: skip


def _contacts() -> str:
    """As the planner's ground makes them, of domains that the demo's name server knows."""
    return CONTACTS.replace("'world'", "'world-'").replace("@world'", "@world-'")


def validated(slug: str, server: Any, people: int) -> tuple[dict[str, Any], float, float]:
    """What the command says, its seconds and its peak MiB, in a process of its own."""
    with house.admin() as link:
        link.execute(RESET)
        link.execute("TRUNCATE mailboxes_receiverdomain")
        link.execute("VACUUM campaigns_contact")
        link.execute("CHECKPOINT")
    told = measured("validate_contacts", "--tenant", slug, f"--nameserver={server.host}:{server.port}")
    if told[0].get("valid") != people:
        raise RuntimeError(f"The validation did not find {people} valid contacts: {told[0]}")
    return told
