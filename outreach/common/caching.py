"""What is kept for a while: values in Django's cache, and answers in the memory of one process."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Hashable
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


class JsonSerializer:
    """Values stand in Django's cache as JSON, so that whoever writes to Redis can't make us run anything.

    For the OPTIONS of RedisCache; Redis counts whole numbers as they are.
    """

    def dumps(self, value: Any) -> bytes | int:
        return value if type(value) is int else json.dumps(value).encode()

    def loads(self, data: bytes) -> Any:
        return json.loads(data)


class Brief(Generic[Value]):
    """Answers of this process that hold for `seconds`, at most `room` of them: the oldest go first."""

    def __init__(self, seconds: float, room: int) -> None:
        self.seconds, self.room = seconds, room
        self._kept: dict[Hashable, tuple[float, Value]] = {}
        self._guard = threading.Lock()

    def get(self, key: Hashable, *, late: float = 0.0) -> Value | None:
        """The answer if it still holds, or did so up to `late` seconds ago; None: nothing is known."""
        with self._guard:
            until, value = self._kept.get(key, (0.0, None))
        return value if time.monotonic() < until + late else None

    def put(self, key: Hashable, value: Value) -> Value:
        """Keep it from now on."""
        with self._guard:
            self._kept.pop(key, None)
            self._kept[key] = (time.monotonic() + self.seconds, value)
            while len(self._kept) > self.room:
                self._kept.pop(next(iter(self._kept)))
        return value

    def drop(self, key: Hashable) -> None:
        """It no longer holds, not even late."""
        with self._guard:
            self._kept.pop(key, None)

    def forget(self) -> None:
        """Drop everything (tests)."""
        with self._guard:
            self._kept.clear()

    def __len__(self) -> int:
        return len(self._kept)
