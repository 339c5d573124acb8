"""Asking the world what a campaign's mail will ask of it: its links, and the unsubscribe button of each host.

On demand only, with no transaction open; the answers stay in the campaign's row and count for a day.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.timezone import now
from django.utils.translation import gettext as _

from campaigns.findings import Finding, Level
from campaigns.models import Campaign
from campaigns.pipeline.preflight import asking, links
from campaigns.pipeline.preflight.asking import Answer
from campaigns.pipeline.preflight.ground import Ground
from mailboxes.models import Mailbox, SendingDomain
from outreach.common import tokens
from outreach.common.sealing import Keyring
from tenants.services.actors import Actor

AT_ONCE = 8
MOST_LINKS, MOST_HOSTS = 40, 40
GONE = (404, 410)
ONE_CLICK = b"List-Unsubscribe=One-Click"


def probe(campaign: Campaign, *, actor: Actor) -> Campaign:
    """Ask everything now and keep what was answered. Nobody is unsubscribed by it. Raises NotAllowed."""
    actor.require("campaigns.start", campaign)
    at = now()
    ground = Ground(campaign, at)
    urls = [url for url in links.of_ground(ground) if links.is_web(url) and not links.problem(url)]
    urls = [url for url in urls if not links.is_made_of_fields(url)][:MOST_LINKS]
    bases = button_hosts(campaign)[:MOST_HOSTS]
    found = _links(urls) + _buttons(bases)
    kept = [finding.as_dict() for finding in found]
    campaign.probes = {
        "at": at.isoformat(), "digest": links.digest(ground), "links": len(urls), "hosts": len(bases), "findings": kept,
    }  # fmt: skip
    Campaign.objects.filter(pk=campaign.pk).update(probes=campaign.probes)
    return campaign


def button_hosts(campaign: Campaign) -> list[str]:
    """Where the unsubscribe links of its mail lead: the tracking hosts of the pool, else the console's own address."""
    boxes = Mailbox.objects.filter(pool=campaign.pool_id).exclude(state=Mailbox.State.RETIRED)
    domains = SendingDomain.objects.filter(pk__in=boxes.values("domain"), state__in=SendingDomain.SENDABLE)
    hosts = {row.tracking_host for row in domains.order_by("pk")}
    named = sorted(f"https://{host}" for host in hosts if host)
    return named + ([settings.PUBLIC_URL.rstrip("/")] if None in hosts or "" in hosts else [])


def _each(work: Callable[[str], Answer], places: Iterable[str]) -> list[tuple[str, Answer]]:
    places = list(places)
    if not places:
        return []
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="preflight") as pool:
        return list(zip(places, pool.map(work, places), strict=True))


def _links(urls: list[str]) -> list[Finding]:
    loopback = settings.INSECURE_HTTP
    found = []
    silent: list[tuple[str, Answer]] = []
    for url, answer in _each(lambda url: asking.follow(url, allow_loopback=loopback), urls):
        if answer.status in GONE:
            text = _("The link %(url)s leads nowhere: its host answers %(status)s.")
            values = {"url": url[:200], "status": answer.status}
            found.append(
                _finding("dead_link", url, Level.ERROR, text % values, _("Correct it, or bring the page back."))
            )
        elif answer.status == 0 or answer.status >= 500:
            silent.append((url, answer))
    for url, answer in silent:
        why = answer.why or _("its host answers %s") % answer.status
        text = _("The link %(url)s could not be opened: %(why)s") % {"url": url[:200], "why": why}
        found.append(_finding("silent_link", url, Level.WARNING, text, _("Open it yourself, from outside.")))
    if urls and not found:
        text = _("All %d links answered.") % len(urls)
        found.append(Finding("links_answered", Level.NOTE, text))
    return found


def _buttons(bases: list[str]) -> list[Finding]:
    """Press the button of each host with a token that stands for nobody; only we know the right answer."""
    keys = Keyring.parse(settings.TOKEN_KEYS)
    trials = {base: tokens.sign_trial(keys, secrets.randbits(63), int(time.time())) for base in bases}

    def press(base: str) -> Answer:
        return asking.ask(
            f"{base}/u/{trials[base]}", method="POST", body=ONE_CLICK, allow_loopback=settings.INSECURE_HTTP
        )

    found = []
    for base, answer in _each(press, bases):
        host = urlsplit(base).hostname or base
        expected = tokens.answer_to_trial(keys, trials[base], int(time.time()))
        if answer.status == 200 and answer.body.decode("ascii", "replace").strip() == expected:
            continue
        if answer.is_refused and base == settings.PUBLIC_URL.rstrip("/"):
            text = _("The unsubscribe button of %(host)s could not be pressed from here: %(why)s")
            text = text % {"host": host, "why": answer.why}
            found.append(_finding("button_not_reached", base, Level.WARNING, text, _("Press one from outside.")))
            continue
        why = answer.why or _("it answers %s, and not what we would") % answer.status
        text = _("The unsubscribe button of %(host)s does not work: %(why)s") % {"host": host, "why": why}
        remedy = _("Its name has to lead to the console; see the domain's records.")
        found.append(_finding("button_broken", base, Level.ERROR, text, remedy))
    if bases and not found:
        text = _("The unsubscribe button answered on each of %d hosts.") % len(bases)
        found.append(Finding("button_answers", Level.NOTE, text))
    return found


def _finding(code: str, place: str, level: Level, text: str, remedy: str) -> Finding:
    return Finding(f"{code}:{links.short(place)}", level, text, remedy)
