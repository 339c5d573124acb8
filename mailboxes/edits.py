"""What a bulk edit makes of each mailbox: plain values in, plain values out, so that a preview and the act agree.

An image is a mailbox's editable columns as a dict (`EDITED`). No database, no clock.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple, Self

from mailboxes import labels
from outreach.common.errors import BadInput

Image = dict[str, Any]
EDITED = (
    "pool_id", "daily_cap", "ramp_id", "ramp_cap", "state", "tags", "signature", "weight", "min_gap_seconds",
    "reserve_share",
)  # fmt: skip
MOST_PER_DAY = 100_000  # messages of one mailbox
LONGEST_GAP = 86_400
MOST_WEIGHT = 1_000.0
STATES = ("reserve", "active")
SENDING = frozenset({"active", "ramping"})  # which of the two, its ramp decides
JUDGED = frozenset({"quarantined", "probing"})


class Plan(NamedTuple):
    """Of a ramp plan what matters here."""

    start: int
    ceiling: int


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to change, of all mailboxes the same; None and empty: left as it is.

    `pool` and `ramp` are ids. `tags` replaces what is there, `add_tags` and `remove_tags` do not.
    """

    daily_cap: int | None = None
    pool: int | None = None
    ramp: int | None = None
    leave_ramp: bool = False
    signature: str | None = None
    tags: tuple[str, ...] | None = None
    add_tags: tuple[str, ...] = ()
    remove_tags: tuple[str, ...] = ()
    weight: float | None = None
    min_gap_seconds: int | None = None
    reserve_share: float | None = None
    state: str = ""

    @classmethod
    def of(cls, **values: Any) -> Self:
        """The wish with its values judged. Raises BadInput that names the field."""
        given = {name: value for name, value in values.items() if value not in (None, "", ()) or name == "signature"}
        for name, most in (("daily_cap", MOST_PER_DAY), ("min_gap_seconds", LONGEST_GAP)):
            if name in given and not 0 <= given[name] <= most:
                raise BadInput(f"{name} is from 0 to {most:,}.", field=name)
        for name, most_of in (("weight", MOST_WEIGHT), ("reserve_share", 1.0)):
            if name in given and not (math.isfinite(given[name]) and 0 <= given[name] <= most_of):
                raise BadInput(f"{name} is from 0 to {most_of:,.0f}.", field=name)
        if given.get("weight") == 0:
            raise BadInput("A weight of 0 would never send; take the mailbox out of use instead.", field="weight")
        if given.get("state", "active") not in STATES:
            raise BadInput(f"A bulk edit leads to the state {' or '.join(STATES)}, no other.", field="state")
        if given.get("ramp") and given.get("leave_ramp"):
            raise BadInput("Put on a ramp or take off it, not both.", field="ramp")
        if given.get("signature") is not None:
            given["signature"] = labels.signature(given["signature"])
        for name in ("tags", "add_tags", "remove_tags"):
            if given.get(name) is not None:
                given[name] = tuple(labels.tags(given[name]))
        if given.get("tags") is not None and (given.get("add_tags") or given.get("remove_tags")):
            raise BadInput("Replace the tags, or add and take away; not both.", field="tags")
        if both := set(given.get("add_tags", ())) & set(given.get("remove_tags", ())):
            raise BadInput(f"{sorted(both)[0]!r} is to be added and taken away.", field="tags")
        made = cls(**given)
        if made == cls():
            raise BadInput("Say what is to change.", field="")
        return made

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in found.items()
        }
        return cls(**values)

    def as_json(self) -> dict[str, Any]:
        """Only what was wished."""
        nothing = Wish()
        named = {each.name: getattr(self, each.name) for each in fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in named.items()
            if value != getattr(nothing, name)
        }


@dataclass(frozen=True, slots=True)
class Change:
    """One mailbox that becomes another: only the columns that differ."""

    mailbox_id: int
    address: str
    before: Image
    after: Image
    lowered: bool = False  # it may send less a day
    raised: bool = False  # beyond what one person may do alone, where the tenant has a line

    @property
    def moved(self) -> bool:
        """Another pool: what waits there belongs to campaigns of the old one."""
        return "pool_id" in self.after


class Refused(NamedTuple):
    mailbox_id: int
    address: str
    reason: str


@dataclass(slots=True)
class Difference:
    """What an edit would do, mailbox by mailbox. `waiting` is how many messages it would take back."""

    changes: list[Change] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    unchanged: int = 0
    waiting: int = 0

    @property
    def digest(self) -> str:
        """Changes when anything does that was shown, but not with the mail that leaves meanwhile."""
        told = [
            [[each.mailbox_id, each.before, each.after] for each in self.changes],
            [[each.mailbox_id, each.reason] for each in self.refused],
        ]
        return _digest(told)

    @property
    def lowered(self) -> list[int]:
        return sorted(each.mailbox_id for each in self.changes if each.lowered)

    @property
    def moved(self) -> list[int]:
        return sorted(each.mailbox_id for each in self.changes if each.moved)

    def raises(self) -> dict[str, Any] | None:
        """What a second person would have to agree to: how many mailboxes, up to which cap, and exactly which."""
        found = [each for each in self.changes if each.raised]
        if not found:
            return None
        exact = [[each.mailbox_id, {name: each.after.get(name) for name in RAISING}] for each in found]
        caps = [int((each.before | each.after)["daily_cap"]) for each in found]
        return {"mailboxes": len(found), "daily_cap": max(caps), "change": _digest(exact)[:16]}

    def add(self, box: Any, before: Image, found: Image | str, cap_above: int | None) -> None:
        """Take one mailbox in: its image afterwards, or why not."""
        if isinstance(found, str):
            self.refused.append(Refused(box.pk, box.address, found))
            return
        changed = [name for name in EDITED if found[name] != before[name]]
        if not changed:
            self.unchanged += 1
            return
        is_raised = raised(cap_above, before, found)
        shown = [*changed, "daily_cap"] if is_raised and "daily_cap" not in changed else changed
        change = Change(
            box.pk,
            box.address,
            {name: before[name] for name in shown},
            {name: found[name] for name in changed},
            lowered=allowed(found) < allowed(before),
            raised=is_raised,
        )
        self.changes.append(change)


RAISING = ("daily_cap", "ramp_id", "ramp_cap")


def image(box: Any) -> Image:
    """The mailbox's editable columns."""
    return {name: getattr(box, name) for name in EDITED}


def allowed(found: Image) -> int:
    """Messages a day at most: the smaller cap, of a reserve its share."""
    cap = found["daily_cap"] if found["ramp_cap"] is None else min(found["daily_cap"], found["ramp_cap"])
    return int(cap * found["reserve_share"]) if found["state"] == "reserve" else int(cap)


def raised(cap_above: int | None, before: Image, after: Image) -> bool:
    """A cap above the tenant's line, or a ramp left early: what is asked about for one mailbox as well."""
    if cap_above is None:
        return False
    if after["daily_cap"] > max(cap_above, before["daily_cap"]):
        return True
    left = before["ramp_id"] is not None and after["ramp_id"] is None
    return left and after["daily_cap"] > min(before["daily_cap"], before["ramp_cap"])


def wished(before: Image, wish: Wish, plans: Mapping[int, Plan]) -> Image | str:
    """The image as the wish wants it, or why this mailbox can't have it."""
    if before["state"] == "retired":
        return "is retired, and there is no way back"
    after = dict(before)
    for name, value in (
        ("pool_id", wish.pool),
        ("daily_cap", wish.daily_cap),
        ("signature", wish.signature),
        ("weight", wish.weight),
        ("min_gap_seconds", wish.min_gap_seconds),
        ("reserve_share", wish.reserve_share),
    ):
        if value is not None:
            after[name] = value
    after["tags"] = list(wish.tags) if wish.tags is not None else _tags(before["tags"], wish)
    if len(after["tags"]) > labels.MOST_TAGS:
        return f"would have {len(after['tags'])} tags, and {labels.MOST_TAGS} is the most"
    settles = _ramp(after, wish, plans)
    if wish.state:
        if before["state"] in JUDGED:
            return f"is {before['state']}: release it first"
        if (before["state"] == "reserve") != (wish.state == "reserve"):
            after["state"], settles = wish.state, True
    if settles:
        _settle(after, plans)
    return after


def _tags(now: Iterable[str], wish: Wish) -> list[str]:
    """Untouched where nothing is added or taken away, even in an order that nobody chose."""
    if set(wish.add_tags) <= set(now) and set(wish.remove_tags).isdisjoint(now):
        return list(now)
    return sorted((set(now) | set(wish.add_tags)) - set(wish.remove_tags))


def _ramp(after: Image, wish: Wish, plans: Mapping[int, Plan]) -> bool:
    """Put on a plan, at its start; one that is on another plan goes on with the cap it has. Whether that changed."""
    if wish.leave_ramp and after["ramp_id"] is not None:
        after["ramp_id"] = after["ramp_cap"] = None
        return True
    if wish.ramp is None or after["ramp_id"] == wish.ramp:
        return False
    if after["ramp_cap"] is None:
        after["ramp_cap"] = min(plans[wish.ramp].start, plans[wish.ramp].ceiling)
    after["ramp_id"] = wish.ramp
    return True


def _settle(after: Image, plans: Mapping[int, Plan]) -> None:
    """Ramping while the cap is to grow, active once it has arrived or without a ramp; other states stay."""
    if after["state"] not in SENDING:
        return
    plan = plans.get(after["ramp_id"])
    grows = plan is not None and after["ramp_cap"] < min(plan.ceiling, after["daily_cap"])
    after["state"] = "ramping" if grows else "active"


def restored(now: Image, before: Image, after: Image) -> Image | str:
    """The image as it was before an edit, or what was changed since. `before`, `after`: the columns that it changed.

    A ramp goes on by itself, so its cap and the state that follows from it are not compared.
    """
    if now["state"] == "retired":
        return "is retired, and there is no way back"
    on_ramp = "ramp_id" in after
    since = [name for name, value in after.items() if not _same(name, now[name], value, on_ramp)]
    if since:
        return f"was changed since: {', '.join(name.removesuffix('_id') for name in since)}"
    back = now | {name: value for name, value in before.items() if name in after}
    if on_ramp and before["ramp_id"] is not None and after["ramp_id"] is not None:
        back["ramp_cap"] = now["ramp_cap"]  # went on from one plan to the other, and still does
    if now["state"] in JUDGED:
        back["state"] = now["state"]
    return back


def _same(name: str, now: Any, left: Any, on_ramp: bool) -> bool:
    """Whether the column is still as the edit left it."""
    if name == "ramp_cap" and on_ramp:
        return True
    if name == "state":
        return now == left or (left in SENDING and (now in SENDING or (on_ramp and now in JUDGED)))
    return bool(now == left)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
