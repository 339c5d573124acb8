"""The planner: a million at once beside COPY of the same rows, and ten thousand out of a million."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from campaigns.pipeline import planner
from tests.bench import house
from tests.bench.figures import Row, load
from tests.bench.ground import Ground, clear, morning, settle
from tests.bench.workers import forget_peak, peak

DAY_SECONDS = 86_400.0
SLOTS = 10_000


def rows(names: frozenset[str], *, quick: bool) -> Iterator[Row]:
    """Three rounds of every size, on fresh tables each."""
    people, rounds = (100_000, 1) if quick else (1_000_000, 3)
    started = time.monotonic()
    few, many = Ground(SLOTS), Ground(people, suppressions=people * 5)
    house.say(f"{people} people and {people * 5} suppressions made in {time.monotonic() - started:.0f} s.")
    of_few, of_many, tenth, whole, copied = [], [], [], [], []  # type: ignore[var-annotated]
    loads, peaks = [], []
    for number in range(1, rounds + 1):
        loads.append(load())
        clear()
        few.launch()
        many.launch()
        of_few.append(plan(few, SLOTS))
        of_many.append(plan(many, SLOTS))
        if "planner" in names or "planner_growth" in names:
            tenth.append(plan(many, people // 10))
            forget_peak()
            whole.append(plan(many, people, keep=True))
            peaks.append(peak())
            copied.append(copy_again(people))
        texts = [f"{SLOTS} of {people}: {of_many[-1]:.3f} s, of {SLOTS}: {of_few[-1]:.3f} s"]
        if whole:
            texts.append(f"{people}: {whole[-1]:.1f} s, a tenth: {tenth[-1]:.2f} s, COPY: {copied[-1]:.1f} s")
        house.say(f"round {number}: {'; '.join(texts)}, load {loads[-1]}")
    if whole:
        yield Row(
            "planner", "s", whole, copied, 5, False, beyond=2.5, peak_mib=peaks, loads=loads,
            note=f"{people} messages in one run over 1200 mailboxes, {people * 5} suppressions, against COPY of the "
            "same rows into the same table with its indexes and foreign keys",
        )  # fmt: skip
        yield Row(
            "planner_growth", "s", whole, tenth, 12, False, beyond=10.5, loads=loads,
            note=f"{people} messages against {people // 10}, {people} people due both times",
        )  # fmt: skip
    yield Row(
        "planner_10k", "s", of_many, [], 0.3, False, beyond=0.1, absolute=True, loads=loads,
        note=f"{SLOTS} slots, {people} people due",
    )  # fmt: skip
    yield Row(
        "planner_list", "s", of_many, of_few, 1.2, False, beyond=1.1, loads=loads,
        note=f"{SLOTS} slots out of {people} people due against {SLOTS} out of {SLOTS}",
    )  # fmt: skip


def plan(ground: Ground, messages: int, *, keep: bool = False) -> float:
    """Seconds of one run that plans exactly so many messages; undone afterwards unless kept."""
    ground.allow(messages)
    settle()
    started = time.monotonic()
    run = planner.run(ground.tenant, morning(), horizon_seconds=DAY_SECONDS)
    seconds = time.monotonic() - started
    if run is None or run.planned != messages:
        raise RuntimeError(f"{messages} messages were to be planned: {run and (run.planned, run.limits, run.refused)}")
    if not keep:
        ground.take_back()
    return seconds


def copy_again(messages: int) -> float:
    """Seconds of COPY for the rows that lie in the table of messages, into that table, emptied before."""
    file = Path(house.STATE) / "messages.copy"
    with house.admin() as link:
        with file.open("wb") as target, link.cursor().copy("COPY campaigns_message TO STDOUT") as copy:
            for block in copy:
                target.write(block)
        link.execute("TRUNCATE campaigns_message")
        link.execute("CHECKPOINT")
        started = time.monotonic()
        with file.open("rb") as source, link.cursor().copy("COPY campaigns_message FROM STDIN") as copy:
            while block := source.read(1 << 20):
                copy.write(block)
        seconds = time.monotonic() - started
        found = link.execute("SELECT count(*) FROM campaigns_message").fetchone()[0]
    file.unlink()
    if found != messages:
        raise RuntimeError(f"COPY brought {found} of {messages} rows.")
    return seconds
