"""What row-level security costs: the planner, an import and a campaign with it, and the same without it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from tests.bench import house, importing, peers, sending
from tests.bench.figures import Row, load
from tests.bench.ground import Ground, clear
from tests.bench.planning import plan
from tests.bench.workers import Workers

TARGET, BEYOND = 1.15, 1.05
PROTECTED = "SELECT oid::regclass::text FROM pg_class WHERE relrowsecurity ORDER BY 1"


@contextmanager
def without_walls() -> Iterator[None]:
    """The policies of all tables sleep; every role sees everything."""
    with house.admin() as link:
        tables = [row[0] for row in link.execute(PROTECTED).fetchall()]
        for table in tables:
            link.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY")
    try:
        yield
    finally:
        with house.admin() as link:
            for table in tables:
                link.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")


def rows(names: frozenset[str], *, quick: bool) -> Iterator[Row]:
    """Contacts are what is imported: by far the most rows."""
    people = 40_000 if quick else 200_000
    file = house.STATE / "walls.csv"

    def contacts() -> float:
        if not file.exists():
            importing.write(file, people)
        return importing.imported(file, people)[0]

    yield from compared(
        names, "walls", without_walls, "row-level security", (contacts, f"{people} contacts"), quick=quick
    )


def compared(
    names: frozenset[str],
    prefix: str,
    without: Callable[[], AbstractContextManager[None]],
    what: str,
    brought_in: tuple[Callable[[], float], str],
    *,
    quick: bool,
) -> Iterator[Row]:
    """Three rounds, each side in turn first, so that what warms up favours neither."""
    people, rounds = (20_000, 1) if quick else (100_000, 3)
    loads: list[float] = []

    def both(measure: Callable[[], float], name: str) -> tuple[list[float], list[float]]:
        behind, free = [], []
        for number in range(rounds):
            loads.append(load())
            for first in (number % 2 == 0, number % 2 == 1):
                if first:
                    behind.append(measure())
                else:
                    with without():
                        free.append(measure())
            house.say(f"{name}: {behind[-1]:.2f} s with {what}, {free[-1]:.2f} s without")
        return behind, free

    def row(name: str, sides: tuple[list[float], list[float]], note: str) -> Row:
        note = f"{note} with {what} against without"
        return Row(f"{prefix}_{name}", "s", *sides, TARGET, False, beyond=BEYOND, loads=loads[-rounds:], note=note)

    if f"{prefix}_planner" in names:
        ground = Ground(people, suppressions=people * 5)
        clear()
        ground.launch()
        yield row("planner", both(lambda: plan(ground, people), "planner"), f"{people} messages planned")
    if f"{prefix}_import" in names:
        measure, note = brought_in
        yield row("import", both(measure, "import"), f"{note} imported")
    if f"{prefix}_sending" in names:
        yield row("sending", campaigns_of(people // 10, both), f"{people // 10} planned rows to sent rows")


def campaigns_of(
    people: int, both: Callable[[Callable[[], float], str], tuple[list[float], list[float]]]
) -> tuple[list[float], list[float]]:
    """Seconds of whole campaigns on either side."""
    with ExitStack() as stack:
        stage = sending.Stage(stack.enter_context(peers.Sink()).port, people)
        workers = stack.enter_context(Workers(["manage.py", "worker"], sending.queue(1), "walls"))
        sending.with_queue(stage, workers, None)

        def one() -> float:
            side = sending.Side()
            sending.with_queue(stage, workers, side)
            return side.seconds[0]

        return both(one, "sending")
