"""From what holds mail to a cause with its words, numbers, times and links."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from campaigns.pipeline import explain_people, windows
from campaigns.pipeline.explain_boxes import Row
from campaigns.pipeline.explain_causes import Cause, rank
from campaigns.pipeline.explain_ground import Ground
from campaigns.pipeline.explain_people import Camp
from campaigns.pipeline.explain_weigh import Why
from campaigns.pipeline.explain_words import words
from outreach.common.links import Link

# Causes of one name are told as one, with the sum of their numbers; of these kinds each row is a cause of its own.
APART = frozenset({"stop", "approval"})
OF_PLATFORM = frozenset({"quota_hour", "quota_rate", "mailbox_hour", "receiver_hour"})
MOST_ROWS = 200  # of a cause, whose history is asked for

# When a row last changed in the columns that stop it, from its history; along the index of each row.
SINCE = " UNION ALL ".join(
    f"""
SELECT '{name}', x.id, e.pgh_created_at FROM unnest(%({name})s::bigint[]) AS x (id) CROSS JOIN LATERAL (
    SELECT pgh_created_at FROM {table} WHERE id = x.id AND pgh_before ?| ARRAY[{columns}]
    ORDER BY pgh_id DESC LIMIT 1) AS e"""
    for name, table, columns in (
        ("campaign", "campaigns_campaignevent", "'status'"),
        ("mailbox", "mailboxes_mailboxevent", "'state', 'hold'"),
        ("domain", "mailboxes_sendingdomainevent", "'state'"),
        ("account", "mailboxes_provideraccountevent", "'state'"),
        ("tenant", "tenants_tenantevent", "'status'"),
    )
)

OWNERS = {
    "domain_hour": "mailboxes_sendingdomain",
    "domain_day": "mailboxes_sendingdomain",
    "account_hour": "mailboxes_provideraccount",
}


class Naming:
    """Makes the causes of one ground. `of_campaign` or `of_mailbox` is what is explained; else it is the tenant."""

    def __init__(
        self, ground: Ground, knows_platform: bool = True, *, of_campaign: int | None = None,
        of_mailbox: int | None = None,
    ) -> None:  # fmt: skip
        self.ground, self.knows_platform = ground, knows_platform
        self.of_campaign, self.of_mailbox = of_campaign, of_mailbox
        self.narrowed: dict[str, Any] = {"tenant__id__exact": ground.tenant.pk}
        if of_campaign is not None:
            self.narrowed = {"campaign__id__exact": of_campaign}
        self.changed: dict[tuple[str, int], datetime] = {}

    def causes(self, cursor: Any, decides: Mapping[Why, int], overlaps: Mapping[Why, int]) -> list[Cause]:
        """All causes, by messages held."""
        groups: dict[tuple[Any, ...], list[Why]] = defaultdict(list)
        for why in {*decides, *overlaps}:
            groups[why if why[0] in APART else why[:2]].append(why)
        self._ask_history(cursor, [why for group in groups.values() for why in group])
        found = []
        for group in groups.values():
            decided = sum(decides.get(why, 0) for why in group)
            count = decided + sum(overlaps.get(why, 0) for why in group)
            if count:
                found.append(self._cause(sorted(group), count, decided))
        return sorted(found, key=rank)

    def first(self, decides: Mapping[Why, int]) -> str:
        """What decides most, in words."""
        if not decides:
            return ""
        why = max(decides, key=lambda each: (decides[each], each))
        return self._cause([why], decides[why], decides[why]).title

    # --- one cause -----------------------------------------------------------------------------------------

    def _cause(self, group: Sequence[Why], count: int, decides: int) -> Cause:
        kind, name, key = group[0]
        maker = getattr(self, f"_of_{kind}")
        values: dict[str, Any] = {"rows": self._people()} | maker(name, [why[2] for why in group])
        title, remedy = values.pop("words", None) or words(kind, name)
        detail = values.pop("detail", "")
        return Cause(
            kind=kind,
            name=name.partition(" ")[0],
            title=f"{title} ({detail})" if detail else title,
            count=count,
            decides=decides,
            remedy=values.pop("remedy", remedy),
            is_estimate=any(self.ground.waiting[pk].is_estimate for pk in self._camps_of(kind, group)),
            **values,
        )

    def _camps_of(self, kind: str, group: Sequence[Why]) -> Iterable[int]:
        if self.of_campaign is not None:
            return [self.of_campaign] if self.of_campaign in self.ground.waiting else []
        return self.ground.waiting if kind not in ("gate", "window", "holiday") else [why[2] for why in group]

    def _people(self, **more: Any) -> Link:
        return Link("campaigns_enrolment", {**self.narrowed, "due_at__isnull": "False", **more})

    def _messages(self, status: str) -> Link:
        narrowed = dict(self.narrowed)
        if self.of_mailbox is not None:
            narrowed = {"mailbox__id__exact": self.of_mailbox}
        return Link("campaigns_message", {**narrowed, "status__exact": status})

    def _of_stop(self, name: str, keys: Sequence[int]) -> dict[str, Any]:
        if name.startswith("tenant_"):
            tenant = self.ground.tenant
            return {"since": self.changed.get(("tenant", tenant.pk)), "link": Link("tenants_tenant", pk=tenant.pk)}
        if name.startswith("campaign_"):
            camp = self.ground.camps[keys[0]]
            since = self.changed.get(("campaign", camp.id))
            told = {"since": since, "link": Link("campaigns_campaign", pk=camp.id), "detail": self._named(camp)}
            if camp.status in explain_people.NOT_STARTED and camp.contact_list_id is not None:
                told["rows"] = Link("campaigns_listentry", {"contact_list__id__exact": camp.contact_list_id})
            return told
        stop = self.ground.stops.by_id(keys[0])
        told = {"since": stop.since, "next_at": stop.until and self._opens_at(stop.until)}
        if stop.is_platform and not (self.knows_platform and stop.label):
            return {**told, "words": words("stop", "of_platform"), "rows": self._people()}
        named = {"operator": stop.operator} if name == "receiver" else {}
        return {
            **told, "words": words("stop", name, **named), "detail": stop.reason,
            "link": Link("campaigns_stop", pk=stop.id),
        }  # fmt: skip

    def _named(self, camp: Camp) -> str:
        """Why a campaign stands, and in a tenant's explanation which one."""
        names = [] if self.of_campaign is not None else [camp.name]
        return ", ".join([*names, *([camp.status_reason] if camp.status_reason else [])])

    def _of_approval(self, name: str, keys: Sequence[int]) -> dict[str, Any]:
        wishes = [wish for (act, key), wish in self.ground.wishes.items() if act == name and keys[0] in (0, key)]
        link = Link("tenants_approval", {"state__exact": "asked", "act__exact": name})
        if len(wishes) == 1:
            link = Link("tenants_approval", pk=wishes[0].id)
        told: dict[str, Any] = {"since": min((wish.asked_at for wish in wishes), default=None), "link": link}
        if name == "campaign.launch":
            camp = self.ground.camps[keys[0]]
            told["detail"] = self._named(camp)
            if camp.contact_list_id is not None:
                told["rows"] = Link("campaigns_listentry", {"contact_list__id__exact": camp.contact_list_id})
        return told

    def _of_domain(self, name: str, keys: Sequence[int]) -> dict[str, Any]:
        rows = self._stopped("domain", name)
        names = {row.domain_id: row.domain for row in rows}
        of_state = {} if name == "too_young" else {"state__exact": name}
        link = Link("mailboxes_sendingdomain", {**of_state, "tenant__id__exact": self.ground.tenant.pk})
        detail = _count_or_name(names.values())
        if len(names) == 1:
            link = Link("mailboxes_sendingdomain", pk=next(iter(names)))
        return {"since": self._since("domain", names), "link": link, "detail": detail}

    def _of_circuit(self, name: str, keys: Sequence[int]) -> dict[str, Any]:
        rows = self._stopped("circuit", name)
        if name == "no_mailbox":
            return {}
        times = [row.account_blocked_until if name == "account_blocked" else row.blocked_until for row in rows]
        until = min((each for each in times if each is not None), default=None)
        told: dict[str, Any] = {"detail": _count_or_name(row.address for row in rows)}
        if name in ("account_blocked", "mailbox_blocked"):
            told["next_at"] = until and self._opens_at(until)
        if name.startswith("account_"):
            ids = {row.account_id for row in rows}
            link = Link("mailboxes_provideraccount", pk=min(ids)) if ids else None
            return {**told, "since": self._since("account", ids), "link": link}
        lookups: dict[str, Any] = {"tenant__id__exact": self.ground.tenant.pk}
        pools = {row.pool_id for row in rows}
        if len(pools) == 1:
            lookups = {"pool__id__exact": min(pools)}
        lookups |= {
            "quarantined": {"state__exact": "quarantined"}, "retired": {"state__exact": "retired"},
            "locked": {"hold__exact": "locked"}, "sign_in_failed": {"hold__exact": "sign_in_failed"},
            "mailbox_blocked": {"condition": "blocked"},
        }.get(name, {})  # fmt: skip
        return {**told, "since": self._since("mailbox", {row.id for row in rows}), "link": Link(
            "mailboxes_mailbox", lookups
        )}  # fmt: skip

    def _of_cap(self, name: str, keys: Sequence[int]) -> dict[str, Any]:
        scope, _, operator = name.partition(" ")
        if scope in OF_PLATFORM and not self.knows_platform:
            return {"words": words("cap", "of_platform"), "next_at": self._free_at(scope, keys, operator)}
        told: dict[str, Any] = {"next_at": self._free_at(scope, keys, operator)}
        if operator:
            told["words"] = words("cap", scope, operator=operator)
        uses = self._uses(scope, keys, operator)
        if uses:
            told |= {"used": sum(use.used for use in uses), "cap": sum(use.cap for use in uses)}
        allowances: dict[str, Any] = {"scope__exact": scope}
        if scope in ("mailbox_day", "mailbox_hour"):
            pools = {row.pool_id for row in self.ground.rows}
            told["since"] = max((row.planned_in for row in self._capped() if row.planned_in), default=None)
            told["link"] = (
                Link("mailboxes_mailbox", {"pool__id__exact": min(pools)})
                if len(pools) == 1
                else Link("mailboxes_allowance", {**allowances, "tenant__id__exact": self.ground.tenant.pk})
            )
        elif scope == "quota_rate":
            told["link"] = Link("mailboxes_quotagroup", pk=keys[0])
        elif len(keys) == 1:
            key = self.ground.tenant.pk if scope == "tenant_day" else keys[0]
            told["link"] = Link("mailboxes_allowance", {**allowances, "key__exact": key})
        else:
            told["link"] = Link("mailboxes_allowance", {**allowances, "tenant__id__exact": self.ground.tenant.pk})
        return told

    def _of_gate(self, name: str, keys: Sequence[int]) -> dict[str, Any]:
        told: dict[str, Any] = {}
        waiting = [self.ground.waiting[key] for key in keys if key in self.ground.waiting]
        if name == "retry":
            times = [each.retries_later.next_at for each in waiting]
            told["rows"] = self._messages("deferred")
        elif name in ("suppressed", "basis_expired"):
            return {"since": min((each.oldest for each in waiting if each.oldest), default=None)}
        else:
            waits_for = "" if name == "due" else name
            later = [each.later.get(waits_for) for each in waiting]
            times = [each.next_at if each else None for each in later]
            told["rows"] = self._people(waits_for__exact=waits_for)
        first = min((each for each in times if each is not None), default=None)
        return {**told, "next_at": first and self._opens_at(first)}

    def _of_window(self, name: str, keys: Sequence[int]) -> dict[str, Any]:
        return self._closed("window", keys)

    def _of_holiday(self, name: str, keys: Sequence[int]) -> dict[str, Any]:
        return self._closed("holiday", keys)

    def _closed(self, kind: str, keys: Sequence[int]) -> dict[str, Any]:
        """Since when and until when they are closed, by which holidays, and in which zones."""
        pairs = [
            (camp, zone)
            for camp in (self.ground.camps[key] for key in keys)
            for zone in self.ground.waiting[camp.id].zones_closed if camp.closed_by(zone)[0] == kind
        ]  # fmt: skip
        opens = [camp.openings[zone].next_opens_at for camp, zone in pairs if zone in camp.openings]
        closed = [windows.closed_since(camp.window, zone, self.ground.now) for camp, zone in pairs]
        zones = sorted({zone for _, zone in pairs})
        names = sorted({camp.closed_by(zone)[1] for camp, zone in pairs} - {""})
        told = [", ".join(each[:3]) + (", ..." if len(each) > 3 else "") for each in (names, zones) if each]
        return {
            "next_at": min((each for each in opens if each is not None), default=None),
            "since": max((each for each in closed if each is not None), default=None),
            "rows": self._people(zone__in=",".join(zones)),
            "detail": "; ".join(told),
        }

    def _of_worker(self, name: str, keys: Sequence[int]) -> dict[str, Any]:
        machinery = self.ground.machinery
        since = {"cron": machinery.lease_until, "planner": machinery.planned_at}.get(name)
        told: dict[str, Any] = {"since": since}
        if name in ("not_read", "no_queue"):
            told |= {"rows": self._messages("planned"), "since": self._first_planned()}
        if name == "planner":
            told["link"] = Link("campaigns_planrun", {"tenant__id__exact": self.ground.tenant.pk})
        return told

    def _of_queue(self, name: str, keys: Sequence[int]) -> dict[str, Any]:
        link = Link("campaigns_batch", {**self.narrowed, "work": "open"})
        if self.of_mailbox is not None:
            link = Link("campaigns_batch", {"tenant__id__exact": self.ground.tenant.pk, "work": "open"})
        return {"rows": self._messages("planned"), "link": link, "since": self._first_planned()}

    def _of_pace(self, name: str, keys: Sequence[int]) -> dict[str, Any]:
        first = [
            seat.first_at if seat.first_at >= self.ground.times.limit else self.ground.times.limit
            for seat in self.ground.seats.values() if seat.box.stopped is None and seat.box.today
        ]  # fmt: skip
        if not first:
            return {"next_at": self._opens_at(self.ground.times.day_ends_at)}
        return {"next_at": self._opens_at(min(first))}

    # --- numbers and times ---------------------------------------------------------------------------------

    def _stopped(self, kind: str, name: str) -> list[Row]:
        return [
            seat.row for seat in self.ground.seats.values()
            if seat.box.stopped is not None and seat.box.stopped[:2] == (kind, name)
        ]  # fmt: skip

    def _capped(self) -> list[Row]:
        return [
            seat.row for seat in self.ground.seats.values()
            if seat.box.stopped is None and seat.box.narrow[0] == "cap" and not seat.box.today
        ]  # fmt: skip

    def _uses(self, scope: str, keys: Sequence[int], operator: str) -> list[Any]:
        if operator:
            return [self.ground.receivers[operator]]
        if scope in ("mailbox_day", "mailbox_hour"):
            rows = [
                seat.row.id for seat in self.ground.seats.values()
                if seat.box.stopped is None and seat.box.narrow[1] == scope
            ]  # fmt: skip
            if scope == "mailbox_day":
                rows = [seat.row.id for seat in self.ground.seats.values() if seat.box.stopped is None]
            uses = [self.ground.limits.use(scope, pk) for pk in rows]
        elif scope == "tenant_day":
            uses = [self.ground.limits.use(scope, self.ground.tenant.pk)]
        else:
            uses = [self.ground.limits.use(scope, key) for key in keys]
        return [use for use in uses if use is not None]

    def _free_at(self, scope: str, keys: Sequence[int], operator: str) -> datetime | None:
        if scope == "campaign_total":
            return None  # not by itself
        if scope == "quota_rate":
            return self._opens_at(self.ground.times.limit)
        times = [use.ends_at for use in self._uses(scope, keys, operator)]
        return self._opens_at(min(times)) if times else None

    def _opens_at(self, moment: datetime) -> datetime | None:
        """The first instant from then on at which one of the campaigns may send."""
        camps = list(self.ground.camps.values())
        if self.of_campaign is not None:
            camps = [camp for camp in camps if camp.id == self.of_campaign]
        found = [camp.opens_at(moment) for camp in camps if camp.openings]
        return min((each for each in found if each is not None), default=moment)

    def _first_planned(self) -> datetime | None:
        return min((plan.first_at for plan in self.ground.planned if plan.due), default=None)

    # --- since when ----------------------------------------------------------------------------------------

    def _since(self, kind: str, ids: Iterable[int]) -> datetime | None:
        return min((self.changed[kind, pk] for pk in ids if (kind, pk) in self.changed), default=None)

    def _ask_history(self, cursor: Any, whys: Sequence[Why]) -> None:
        wanted: dict[str, set[int]] = {"campaign": set(), "mailbox": set(), "domain": set(), "account": set(),
                                       "tenant": set()}  # fmt: skip
        for kind, name, key in whys:
            if kind == "stop" and name.startswith("campaign_"):
                wanted["campaign"].add(key)
            elif kind == "stop" and name.startswith("tenant_"):
                wanted["tenant"].add(self.ground.tenant.pk)
            elif kind in ("domain", "circuit"):
                for row in self._stopped(kind, name):
                    wanted["domain"].add(row.domain_id)
                    wanted["account"].add(row.account_id)
                    wanted["mailbox"].add(row.id)
        if not any(wanted.values()):
            return
        cursor.execute(SINCE, {name: sorted(ids)[:MOST_ROWS] for name, ids in wanted.items()})
        self.changed = {(name, pk): at for name, pk, at in cursor.fetchall()}


def _count_or_name(names: Iterable[str]) -> str:
    """The one there is, or how many."""
    found = sorted(set(names))
    return found[0] if len(found) == 1 else f"{len(found):,}"
