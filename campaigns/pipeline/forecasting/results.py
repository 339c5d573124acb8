"""What a simulation found, put into the words of a forecast."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import date, datetime
from typing import Any

from campaigns.pipeline.forecasting.simulation import LITTLE, PoolTrack, Simulation, Track
from campaigns.pipeline.forecasting.terms import (
    CampaignDay,
    CampaignForecast,
    Forecast,
    Limit,
    PoolDay,
    PoolForecast,
    World,
)
from mailboxes import capacity
from mailboxes import ramp as rule

RESERVE_SHARE = 0.2  # of a mailbox that is new in the pool


def forecast(
    world: World,
    now: datetime,
    days: Sequence[date],
    *,
    standard: rule.Plan | None = None,
    reserve_share: float = RESERVE_SHARE,
) -> Forecast:
    """What becomes of everything in `world` on `days`, of which the first is today; `standard` is a reserve's ramp."""
    found = Simulation(world, now, days).run()
    plan = standard or rule.Plan()
    return Forecast(
        made_at=now,
        days=tuple(days),
        campaigns=tuple(_campaign(track, found.days) for track in found.tracks),
        pools=tuple(
            _pool(found, pool, world.pools.get(pool.id, ""), plan, reserve_share) for pool in found.pools.values()
        ),
    )


def _campaign(track: Track, days: Sequence[date]) -> CampaignForecast:
    sent = whole(track.sent)
    left = max(round(track.left), 0)
    rows = tuple(
        CampaignDay(day, sent[n], max(round(track.waiting[n]), 0), *track.limits[n]) for n, day in enumerate(days)
    )
    done_on = track.done_on if not track.work.stopped else None
    limit, name = _main_limit(track)
    return CampaignForecast(
        id=track.work.id,
        name=track.work.name,
        status=track.work.status,
        pool_id=track.work.pool_id,
        total=sum(sent) + left + track.work.stopped,
        left=left + track.work.stopped,
        stopped=track.work.stopped,
        done_on=done_on,
        limit=limit,
        limit_name=name,
        days=rows,
    )


def _main_limit(track: Track) -> tuple[Limit, str]:
    """What keeps it on most days; that follow-ups have their time, or a window is closed, comes last."""
    if track.work.stopped and track.left < LITTLE:
        return Limit.STOPPED, ""
    counts = Counter(limit for limit in track.limits if limit[0] != Limit.NONE)
    strong = Counter({key: n for key, n in counts.items() if key[0] not in (Limit.FOLLOW_UPS, Limit.WINDOW)})
    most = (strong or counts).most_common(1)
    return most[0][0] if most else (Limit.NONE, "")


def _pool(found: Simulation, pool: PoolTrack, name: str, plan: rule.Plan, share: float) -> PoolForecast:
    sent = whole(pool.sent)
    rows = []
    for n, day in enumerate(found.days):
        short = max(round(pool.demand[n] - pool.capacity[n]), 0)
        rows.append(PoolDay(day, round(pool.capacity[n]), round(pool.demand[n]), sent[n], short))
    first = next((n for n, row in enumerate(rows) if row.shortfall), None)
    if first is None:
        return PoolForecast(pool.id, name, tuple(rows))
    short = rows[first].shortfall
    promotable = _promotable(found, pool, first)
    rest, cap = max(short - promotable, 0), rule.cap_on(plan, first)
    of_share = int(cap * share)
    cuts = pool.cut[first]
    return PoolForecast(
        id=pool.id,
        name=name,
        days=tuple(rows),
        short_on=rows[first].day,
        short_by=short,
        promotable=min(promotable, short),
        reserves=math.ceil(rest / cap),
        reserves_at_share=math.ceil(rest / of_share) if of_share else (None if rest else 0),
        limit_name=max(cuts, key=lambda key: cuts[key]) if cuts else "",
    )


def _promotable(found: Simulation, pool: PoolTrack, n: int) -> int:
    """What the pool's reserves would add on that day if they were promoted."""
    more = 0
    for place in pool.groups:
        group = found.groups[place]
        if group.state == "reserve":
            full = capacity.caps(group, found.days, in_full=True)
            more += group.count * (full[n] - found.caps[place][n])
    return more


def whole(amounts: Sequence[float]) -> list[int]:
    """Whole numbers whose sums from the start differ from those of the amounts by at most a half."""
    found, total, told = [], 0.0, 0
    for amount in amounts:
        total += amount
        found.append(round(total) - told)
        told = round(total)
    return found


def narrowed(found: Forecast, campaign_id: int) -> Forecast:
    """The part of one campaign and its pool."""
    mine = tuple(one for one in found.campaigns if one.id == campaign_id)
    pools = {one.pool_id for one in mine}
    return replace(found, campaigns=mine, pools=tuple(pool for pool in found.pools if pool.id in pools))


def of_pool(found: Forecast, pool_id: int) -> Forecast:
    """The part of one pool and the campaigns that send from it."""
    return replace(
        found,
        campaigns=tuple(one for one in found.campaigns if one.pool_id == pool_id),
        pools=tuple(pool for pool in found.pools if pool.id == pool_id),
    )


def as_json(found: Forecast) -> dict[str, Any]:
    """The forecast as plain JSON values; days as YYYY-MM-DD."""
    return _plain(asdict(found))


def of_campaign(found: CampaignForecast) -> dict[str, Any]:
    """One campaign's part as plain JSON values."""
    return _plain(asdict(found))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    return str(value) if isinstance(value, Limit) else value
