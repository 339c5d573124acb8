"""What stands still altogether, said on every page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from campaigns.models import Stop
from campaigns.services import stops
from outreach.common import isolation
from outreach.common.freshness import kept
from tenants.services.actors import Actor

WIDE = (Stop.Scope.PLATFORM, Stop.Scope.TENANT)


@dataclass(frozen=True, slots=True)
class Wide:
    """A stop of everything or of a whole tenant. Without `url` this person may not look at it."""

    text: str
    url: str


def wide(actor: Actor) -> list[Wide]:
    """Those that hold now and concern this person; that all stands still is told to everybody, its reason to staff."""
    if not actor.can("campaigns.view"):
        return []
    tenants = actor.tenants_with("campaigns.view")
    found: list[Stop] = kept(("wide stops", tenants), lambda: _look(tenants))
    staff = actor.can("mailboxes.view")
    return [
        Wide(
            _text(stop, seen=staff and (tenants is None or stop.tenant_id is not None)),
            _url(stop, tenants) if staff else "",
        )
        for stop in found
    ]


def _look(tenants: frozenset[int] | None) -> list[Stop]:
    scope = isolation.current()
    with isolation.tenants(scope.tenant_ids if scope else (), platform=True):
        found = list(stops.standing().filter(scope__in=WIDE))
    return [stop for stop in found if tenants is None or stop.tenant_id is None or stop.tenant_id in tenants]


def _text(stop: Stop, *, seen: bool) -> str:
    what: Any = stop.tenant if stop.scope == Stop.Scope.TENANT else _("Everything")
    said = _("%(what)s stands still since %(since)s UTC.") % {"what": what, "since": f"{stop.since:%Y-%m-%d %H:%M}"}
    return f"{said} {stop.reason}" if seen else said


def _url(stop: Stop, tenants: frozenset[int] | None) -> str:
    if stop.tenant_id is None and tenants is not None:
        return ""
    return reverse("admin:campaigns_stop_change", args=[stop.pk])
