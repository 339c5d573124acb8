"""What row-level security costs: the planner, an import and a campaign with it, and the same without it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

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
    """Three rounds, each side in turn first, so that what warms up favours neither."""
    people, rounds = (20_000, 1) if quick else (100_000, 3)
    loads: list[float] = []

    def both(measure: Callable[[], float], name: str) -> tuple[list[float], list[float]]:
        behind, without = [], []
        for number in range(rounds):
            loads.append(load())
            for first in (number % 2 == 0, number % 2 == 1):
                if first:
                    behind.append(measure())
                else:
                    with without_walls():
                        without.append(measure())
            house.say(f"{name}: {behind[-1]:.2f} s behind row-level security, {without[-1]:.2f} s without")
        return behind, without

    def row(name: str, sides: tuple[list[float], list[float]], note: str) -> Row:
        return Row(name, "s", *sides, TARGET, False, beyond=BEYOND, loads=loads[-rounds:], note=note)

    if "walls_planner" in names:
        ground = Ground(people, suppressions=people * 5)
        clear()
        ground.launch()
        sides = both(lambda: plan(ground, people), "planner")
        yield row("walls_planner", sides, f"{people} messages planned with row-level security against without")
    if "walls_import" in names:
        file = house.STATE / "walls.csv"
        importing.write(file, people * 2)
        sides = both(lambda: importing.imported(file, people * 2)[0], "import")
        yield row("walls_import", sides, f"{people * 2} contacts imported with row-level security against without")
    if "walls_sending" in names:
        yield row("walls_sending", campaigns_of(people // 10, both), f"{people // 10} planned rows to sent rows")


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
