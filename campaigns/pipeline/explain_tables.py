"""The tables below a tenant's causes: by campaign, by pool, by what the mailboxes are up to."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from campaigns.pipeline.explain_causes import Table
from campaigns.pipeline.explain_ground import Ground, Held
from campaigns.pipeline.explain_naming import Naming
from campaigns.pipeline.explain_weigh import Why
from campaigns.pipeline.explain_words import words
from outreach.common.links import Link

POOLS = "SELECT id, name FROM mailboxes_pool WHERE id = ANY (%s)"


def campaign_table(ground: Ground, held: Mapping[int, Held], firsts: Mapping[int, str]) -> Table:
    """Each campaign under way: who waits, who goes next, and what holds most of the rest."""
    rows = []
    for pk, camp in sorted(ground.camps.items(), key=lambda item: (-ground.waiting[item[0]].total, item[0])):
        waiting = ground.waiting[pk].total + ground.overdue(pk)
        rows.append(((camp.name, camp.status, waiting, held[pk].ready, firsts[pk]), Link("campaigns_campaign", pk=pk)))
    columns = (
        ("name", _("campaign")), ("status", _("status")), ("waiting", _("waiting")), ("ready", _("go next")),
        ("first", _("most of them wait for")),
    )  # fmt: skip
    return Table("campaigns", _("Campaigns"), columns, rows)


def pool_table(cursor: Any, ground: Ground) -> Table:
    """Each pool: what its mailboxes may send in a day, what is used of it, and what is left."""
    cursor.execute(POOLS, [sorted({row.pool_id for row in ground.rows})])
    names = dict(cursor.fetchall())
    rows = []
    for pk, name in sorted(names.items(), key=lambda item: item[1]):
        seats = [seat for seat in ground.seats.values() if seat.row.pool_id == pk]
        sending = [seat for seat in seats if seat.box.stopped is None]
        cap = sum(seat.row.cap for seat in sending)
        used = sum(ground.limits.reserved_today(seat.row.id) for seat in seats)
        left = sum(min(seat.cap_left, seat.box.lost) for seat in sending)
        rows.append(((name, len(seats), len(sending), used, cap, left), Link("mailboxes_pool", pk=pk)))
    columns = (
        ("name", _("pool")), ("mailboxes", _("mailboxes")), ("sending", _("may send")),
        ("used", _("used today")), ("cap", _("cap of the day")), ("left", _("left today")),
    )  # fmt: skip
    return Table("pools", _("Pools"), columns, rows)


def mailbox_states(ground: Ground, naming: Naming) -> Table:
    """The mailboxes by state, and within it by what stops them, most first."""
    counted: Counter[tuple[str, str]] = Counter()
    lost: dict[tuple[str, str], int] = defaultdict(int)
    for seat in ground.seats.values():
        why = why_of(ground, seat.box.stopped, naming)
        if seat.box.stopped is None and not seat.box.lost:
            why = words(*seat.box.narrow[:2])[0]
        counted[seat.row.state, why] += 1
        lost[seat.row.state, why] += seat.box.lost if seat.box.stopped is not None else 0
    tenant = ground.tenant.pk
    rows = [
        (
            (state, why or _("sends"), count, lost[state, why]),
            Link("mailboxes_mailbox", {"tenant__id__exact": tenant, "state__exact": state}),
        )
        for (state, why), count in counted.most_common()
    ]
    columns = (
        ("state", _("state")), ("why", _("what holds them")), ("mailboxes", _("mailboxes")),
        ("lost", _("messages a day that this costs")),
    )  # fmt: skip
    return Table("mailboxes", _("Mailboxes"), columns, rows)


def why_of(ground: Ground, why: Why | None, naming: Naming) -> str:
    """What stops a mailbox, in words; nothing for one that sends."""
    if why is None:
        return ""
    kind, name, key = why
    if kind == "stop":
        stop = ground.stops.by_id(key)
        if stop.is_platform and not (naming.knows_platform and stop.label):
            return words("stop", "of_platform")[0]
    return words(kind, name)[0]
