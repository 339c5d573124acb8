"""The links of a mail: how they are written, where they lead, and what their hosts answered last."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from html import unescape
from urllib.parse import urlsplit

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from campaigns.findings import Finding, Level
from campaigns.pipeline.preflight.ground import Ground
from mailboxes.models import Mailbox, SendingDomain
from mailboxes.services import tracking as tracking_hosts
from mailboxes.services.tracking import Standing
from outreach.common.links import Link

KEPT = timedelta(hours=24)  # for which the answers of hosts count
HREF = re.compile(r"""href\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+))""", re.IGNORECASE)
BARE = re.compile(r"""https?://[^\s<>"']+""", re.IGNORECASE)
HOST = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])|localhost", re.I)
LOOK_UPS_A_MINUTE = 100


def of_ground(ground: Ground) -> list[str]:
    """Every address that a wording links or writes out, in order; those made of fields are as they stand there."""
    found: dict[str, None] = {}
    for each in ground.wordings:
        for groups in HREF.findall(each.html):
            found[unescape(next((group for group in groups if group), "")).strip()] = None
        for bare in BARE.findall(each.text):
            found[bare.rstrip(".,;:!?)")] = None
    return [url for url in found if url]


def problem(url: str) -> str:
    """What is wrong with the form of an http address; "" nothing."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return _("it can't be read")
    if parts.username is not None or parts.password is not None:
        return _("it has a name or password in it")
    if not parts.hostname or not HOST.fullmatch(parts.hostname) or len(parts.hostname) > 253:
        return _("its host is no name")
    if port is not None and not 0 < port < 65536:
        return _("its port does not exist")
    if re.search(r"[\s\\]", url):
        return _("it has a space in it")
    return ""


def is_web(url: str) -> bool:
    return url.lower().startswith(("http://", "https://", "http:", "https:"))


def is_made_of_fields(url: str) -> bool:
    return "{{" in url or "{%" in url


def written(ground: Ground) -> Iterator[Finding]:
    """Each link is well-formed and leads to nobody else's tracking host."""
    page = Link("campaigns_step", {"campaign__id__exact": ground.campaign.pk})
    own = set(SendingDomain.objects.filter(tenant=ground.tenant).values_list("tracking_host", flat=True))
    plain = []
    for url in of_ground(ground):
        if is_made_of_fields(url) or url.startswith(("#", "mailto:", "tel:")):
            continue
        if not is_web(url):
            text = _("The link %s is no web address.") % url[:200]
            yield Finding(f"bad_link:{short(url)}", Level.ERROR, text, _("Write it with https://."), rows=page)
            continue
        if wrong := problem(url):
            text = _("The link %(url)s can't work: %(why)s.") % {"url": url[:200], "why": wrong}
            yield Finding(f"bad_link:{short(url)}", Level.ERROR, text, _("Correct it."), rows=page)
            continue
        host = (urlsplit(url).hostname or "").lower()
        place = f"preflight-{ground.tenant.pk}"
        standing = tracking_hosts.standing(host, place=place, most_a_minute=LOOK_UPS_A_MINUTE)
        if host not in own and standing is not Standing.NOTHING:
            text = _("The link %s leads to a tracking host that is not the tenant's own.") % url[:200]
            yield Finding(f"foreign_link:{short(url)}", Level.ERROR, text, _("Link the page itself."), rows=page)
        if url.lower().startswith("http:"):
            plain.append(url)
    if plain:
        text = ngettext("%(n)d link is not encrypted: %(url)s.", "%(n)d links are not encrypted: %(url)s.", len(plain))
        yield Finding(
            "plain_links", Level.NOTE, text % {"n": len(plain), "url": plain[0][:200]}, _("Use https."), rows=page
        )


def short(url: str) -> str:
    return hashlib.sha256(url.encode("utf-8", "replace")).hexdigest()[:8]


def tracking(ground: Ground) -> Iterator[Finding]:
    """Unsubscribe and click links stand on the sending domain's own host where it has one."""
    if ground.campaign.pool_id is None:
        return
    boxes = Mailbox.objects.filter(pool=ground.campaign.pool_id).exclude(state=Mailbox.State.RETIRED)
    of_pool = SendingDomain.objects.filter(pk__in=boxes.values("domain"), state__in=SendingDomain.SENDABLE)
    lacking = list(of_pool.filter(tracking_host=None).order_by("name"))
    if not lacking:
        return
    names = ", ".join(row.name for row in lacking[:3]) + (", ..." if len(lacking) > 3 else "")
    text = ngettext(
        "%(n)d sending domain has no tracking host; its links carry the console's name: %(names)s.",
        "%(n)d sending domains have no tracking host; their links carry the console's name: %(names)s.",
        len(lacking),
    ) % {"n": len(lacking), "names": names}
    level = Level.WARNING if ground.campaign.click_tracking else Level.NOTE
    rows = Link("mailboxes_sendingdomain", {"id__in": ",".join(str(row.pk) for row in lacking[:100])})
    remedy = _("Give each a host of its own, as links.example.com.")
    yield Finding("no_tracking_host", level, text, remedy, len(lacking), of_pool.count(), rows)


def digest(ground: Ground) -> str:
    """Stands for everything that was asked of the network; other links or domains want to be asked anew."""
    boxes = Mailbox.objects.filter(pool=ground.campaign.pool_id).exclude(state=Mailbox.State.RETIRED)
    hosts = SendingDomain.objects.filter(pk__in=boxes.values("domain")).order_by("pk")
    asked = [*of_ground(ground), "", *(host or "" for host in hosts.values_list("tracking_host", flat=True))]
    return hashlib.sha256("\n".join(asked).encode("utf-8", "replace")).hexdigest()[:16]


def answered(ground: Ground) -> Iterator[Finding]:
    """What links and the unsubscribe button answered when somebody last asked them; they are asked on demand only."""
    probes = ground.campaign.probes
    at = _moment(probes.get("at"))
    remedy = _("Ask them now: on this page, or with campaign check.")
    if at is None or at < ground.now - KEPT or probes.get("digest") != digest(ground):
        text = _("Nobody has asked the links and the unsubscribe button yet, or they have changed since.")
        yield Finding("not_probed", Level.NOTE, text, remedy)
        return
    for kept in probes.get("findings", []):
        yield Finding(
            kept["code"], Level(kept["level"]), kept["sentence"], kept["remedy"], kept["count"], kept["total"]
        )


def _moment(text: object) -> datetime | None:
    return parse_datetime(text) if isinstance(text, str) else None
