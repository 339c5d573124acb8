"""Who waits in one lane: people in the order in which their next message is due, as amounts and not one by one."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(slots=True)
class Queue:
    """Amounts of people by step; `ready` are due, oldest first, `later` are not. The first step goes to any mailbox,
    the others to that of the first.
    """

    ready: deque[list[float]] = field(default_factory=deque)  # [step, amount]
    later: list[tuple[datetime, int, float]] = field(default_factory=list)  # a heap: due, step, amount
    due: float = 0.0

    def add(self, due_at: datetime, step: int, amount: float) -> None:
        heapq.heappush(self.later, (due_at, step, amount))

    def ripen(self, at: datetime) -> None:
        """Let everybody be ready whose moment has come."""
        while self.later and self.later[0][0] <= at:
            _, step, amount = heapq.heappop(self.later)
            self.due += amount
            if self.ready and self.ready[-1][0] == step:
                self.ready[-1][1] += amount
            else:
                self.ready.append([step, amount])

    def first(self, most: float) -> tuple[float, float]:
        """Of so many who are ready: those who belong to a mailbox, who come first, and those who take any."""
        bound = min(sum(amount for step, amount in self.ready if step), most)
        return bound, min(sum(amount for step, amount in self.ready if not step), most - bound)

    def serve(self, bound: float, free: float) -> list[tuple[int, float]]:
        """Take so many of either kind out, oldest first; return what steps they were."""
        left, served, kept = {True: bound, False: free}, [], deque[list[float]]()
        while self.ready and (left[True] > 0 or left[False] > 0):
            step, amount = self.ready.popleft()
            part = min(amount, left[step > 0])
            left[step > 0] -= part
            if part > 0:
                served.append((int(step), part))
                self.due -= part
            if amount > part:
                kept.append([step, amount - part])
        self.ready.extendleft(reversed(kept))
        return served

    def follow_ups(self, until: datetime) -> float:
        """People past the first step whose next message is due before then."""
        ready = sum(amount for step, amount in self.ready if step)
        return ready + sum(amount for due_at, step, amount in self.later if step and due_at < until)


def level(total: float, most: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Share `total` out by weight, nobody more than `most`; what somebody can't take goes to the others."""
    found = [0.0] * len(most)
    open_ = [n for n, room in enumerate(most) if room > 0 and weights[n] > 0]
    left = min(total, sum(most[n] for n in open_))
    while open_ and left > 0:
        per_weight = left / sum(weights[n] for n in open_)
        full = [n for n in open_ if most[n] - found[n] <= per_weight * weights[n]]
        if not full:
            for n in open_:
                found[n] += per_weight * weights[n]
            break
        for n in full:
            left -= most[n] - found[n]
            found[n] = most[n]
        gone = set(full)
        open_ = [n for n in open_ if n not in gone]
    return found
