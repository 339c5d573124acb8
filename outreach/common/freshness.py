"""Figures that cost something to count, kept for a moment so that watching them stays cheap."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

Value = TypeVar("Value")

COST_SHARE = 20  # a figure is counted again after 20 times what counting it took
ROOM = 500  # entries; the oldest go first

_values: dict[Hashable, tuple[float, Any]] = {}
_counting: dict[Hashable, threading.Lock] = {}
_guard = threading.Lock()


def kept(key: Hashable, count: Callable[[], Value], *, seconds: float = 2.0) -> Value:
    """Return the figure of this process, at least `seconds` old before it is counted again.

    Counting takes no more than a twentieth of the time, however long it takes: 1 s of work
    is kept for 20 s. While one thread counts, the others get the figure of before.
    """
    with _guard:
        until, value = _values.get(key, (0.0, None))
        lock = _counting.setdefault(key, threading.Lock())
    if time.monotonic() < until:
        return value
    if not lock.acquire(blocking=until == 0.0):
        return value
    try:
        with _guard:
            until, value = _values.get(key, (0.0, None))
        if time.monotonic() < until:
            return value
        began = time.monotonic()
        value = count()
        cost = time.monotonic() - began
        with _guard:
            _values.pop(key, None)
            _values[key] = (time.monotonic() + max(seconds, COST_SHARE * cost), value)
            while len(_values) > ROOM:
                oldest = next(iter(_values))
                _values.pop(oldest)
                _counting.pop(oldest, None)
        return value
    finally:
        lock.release()


def forget() -> None:
    """Drop every kept figure (tests)."""
    with _guard:
        _values.clear()
        _counting.clear()
