"""The acts for which a second person may have to agree: one list, which the apps above fill in.

An act says by its tenant's policy whether anybody has to agree, and on what: its `terms`. Who agrees, agrees on
those and nothing else. As with hooks, an app registers in AppConfig.ready().
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Terms = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Act:
    """`name` is noun.verb. `permission` is what doing it takes; the second person needs it too.
    `over_platform` is what doing it to a row of no tenant takes besides.

    `terms(policy, subject, **given)` returns what has to be agreed on, None when nobody has to; `given` names what the
    act is told besides its subject. `covers(agreed, asked)` says whether an agreement is enough for what is done.
    `line` is the policy's line that `terms` looks at; the policy's page names the act there.
    """

    name: str
    title: Any
    model: str
    permission: str
    terms: Callable[..., Terms | None]
    covers: Callable[[Terms, Terms], bool] = operator.eq
    given: tuple[str, ...] = ()
    over_platform: str = ""
    line: str = ""

    def require_of(self, actor: Any, subject: Any) -> None:
        """Raise NotAllowed unless the actor may do this to the row, or to an approval's."""
        actor.require(self.permission, subject)
        if self.over_platform and subject.tenant_id is None:
            actor.require(self.over_platform)


_ACTS: dict[str, Act] = {}


def register(act: Act) -> None:
    """Add an act; the same one twice has no effect."""
    if _ACTS.setdefault(act.name, act).model != act.model:
        raise LookupError(f"there are two acts {act.name}")


def get(name: str) -> Act | None:
    """The act of that name."""
    return _ACTS.get(name)


def registered() -> Mapping[str, Act]:
    """All of them by name."""
    return dict(sorted(_ACTS.items()))


def up_to(number: str) -> Callable[[Terms, Terms], bool]:
    """Agreements that hold for as many as were named or fewer, everything else being the same."""

    def covers(agreed: Terms, asked: Terms) -> bool:
        rest = {**agreed, number: 0} == {**asked, number: 0}
        return rest and asked[number] <= agreed[number]

    return covers
