"""`python -m tests.bench [--only NAME ...] [--quick]`: measure, print the table, write STATE_DIR/bench.json.

Ends with 0 when everything could be measured: a target that was missed is a finding, printed as a miss.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from tests.bench import house
from tests.bench.figures import Row, table


def sending(names: frozenset[str], quick: bool) -> Iterable[Row]:
    from tests.bench import sending

    return sending.rows(names, quick=quick)


def planning(names: frozenset[str], quick: bool) -> Iterable[Row]:
    from tests.bench import planning

    return planning.rows(names, quick=quick)


def importing(names: frozenset[str], quick: bool) -> Iterable[Row]:
    from tests.bench import importing

    return importing.rows(names, quick=quick)


def validating(names: frozenset[str], quick: bool) -> Iterable[Row]:
    from tests.bench import validating

    return validating.rows(names, quick=quick)


def mailboxes(names: frozenset[str], quick: bool) -> Iterable[Row]:
    from tests.bench import mailboxes

    return mailboxes.rows(names, quick=quick)


def walls(names: frozenset[str], quick: bool) -> Iterable[Row]:
    from tests.bench import walls

    return walls.rows(names, quick=quick)


def auditing(names: frozenset[str], quick: bool) -> Iterable[Row]:
    from tests.bench import auditing

    return auditing.rows(names, quick=quick)


def history(names: frozenset[str], quick: bool) -> Iterable[Row]:
    from tests.bench import history

    return history.rows(names, quick=quick)


# What is measured together, with the rows that come of it.
GROUPS: tuple[tuple[Callable[[frozenset[str], bool], Iterable[Row]], tuple[str, ...]], ...] = (
    (sending, ("campaign", "post_office", "cpu", "never_doubling")),
    (planning, ("planner", "planner_10k", "planner_growth", "planner_list")),
    (importing, ("import", "import_memory")),
    (validating, ("validation", "validation_memory")),
    (mailboxes, ("import_mailboxes", "import_mailboxes_memory")),
    (auditing, ("audit_verify",)),
    (walls, ("walls_planner", "walls_import", "walls_sending")),
    (history, ("history_planner", "history_import", "history_sending")),
)


def main() -> int:
    known = [name for _, names in GROUPS for name in names]
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=known, metavar="NAME", help=", ".join(known))
    parser.add_argument("--quick", action="store_true", help="small sizes and one round: does it run?")
    options = parser.parse_args()
    wanted = frozenset(options.only or known)
    started, rows = time.monotonic(), []
    with house.open_for_business():
        for measure, names in GROUPS:
            if wanted & set(names):
                rows += [row for row in measure(wanted & set(names), options.quick) if row.name in wanted]
    report = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": options.quick,
        "seconds": round(time.monotonic() - started, 1),
        "machine": house.machine(),
        "rows": [row.as_json() for row in rows],
    }
    target = house.ROOT / ".run" / "bench.json"
    target.parent.mkdir(mode=0o700, exist_ok=True)
    target.write_text(json.dumps(report, indent=2) + "\n")
    sys.stdout.write(f"{table(rows)}\n\nWritten to {target.relative_to(house.ROOT)} after {report['seconds']} s.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
