"""States and the moves between them, for models that keep a `status` or `state`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from outreach.common.errors import InvalidMove


class Moves:
    """Mix-in for a model: `move_to` allows only what the table MOVES lists.

    STATE_FIELD names the column; MOVES maps each state to the states it may become.
    `move_to` changes the instance only: the caller holds the row lock and saves.
    """

    STATE_FIELD: ClassVar[str] = "status"
    MOVES: ClassVar[Mapping[str, frozenset[str]]] = {}

    def move_to(self: Any, target: str) -> None:
        """Change the state, or raise InvalidMove and change nothing."""
        source = getattr(self, self.STATE_FIELD)
        if target not in self.MOVES.get(source, frozenset()):
            raise InvalidMove(
                f"{self} is {source}, so it cannot become {target}.",
                source=source,
                target=target,
            )
        setattr(self, self.STATE_FIELD, target)
