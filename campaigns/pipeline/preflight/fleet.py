"""What a campaign is sent from: mailboxes, their domains, the accounts that they leave by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from django.db.models import Count, Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from campaigns.findings import Finding, Level
from campaigns.models import Contact
from campaigns.pipeline.preflight import bases as routes_of
from campaigns.pipeline.preflight.ground import Ground
from mailboxes.models import Mailbox, ProviderAccount, SendingDomain
from mailboxes.services import domain_ramp
from outreach.common.links import Link

STALE = timedelta(days=3)  # domains are looked at several times a day


def pool(ground: Ground) -> Iterator[Finding]:
    """There is a mailbox that may send."""
    of = ground.campaign.pool
    if of is None:
        yield Finding("no_pool", Level.ERROR, _("The campaign has no pool to send from."), rows=ground.own_page)
        return
    boxes = Mailbox.objects.filter(pool=of, state__in=Mailbox.SENDABLE, hold="none")
    rows = Link("mailboxes_mailbox", {"pool__id__exact": of.pk})
    if not boxes.exists():
        text = _("The pool %s has no mailbox that may send; import or release some.") % of
        yield Finding("no_mailbox", Level.ERROR, text, rows=rows)
    elif not boxes.filter(
        domain__state__in=SendingDomain.SENDABLE, home__state=ProviderAccount.State.ACTIVE
    ).exists():  # fmt: skip
        text = _("No mailbox of the pool %s has both a verified domain and an open provider account.") % of
        yield Finding("no_way_out", Level.ERROR, text, _("Have the domains checked, or reopen the account."), rows=rows)


def domains(ground: Ground) -> Iterator[Finding]:
    """SPF, DKIM and DMARC of each sending domain, as its last check left its state."""
    if ground.campaign.pool_id is None:
        return
    boxes = Q(mailboxes__pool=ground.campaign.pool_id) & ~Q(mailboxes__state=Mailbox.State.RETIRED)
    found = list(SendingDomain.objects.annotate(n=Count("mailboxes", filter=boxes)).filter(n__gt=0).order_by("name"))
    blocked = [row for row in found if row.state not in SendingDomain.SENDABLE]
    degraded = [row for row in found if row.state == SendingDomain.State.DEGRADED]
    young = [row for row in found if row not in blocked and domain_ramp.is_too_young(row, ground.today)]
    sending = [row for row in found if row.state in SendingDomain.SENDABLE]
    if blocked and sending:
        text = ngettext(
            "%(n)d sending domain of the pool is not verified, and its mailboxes stay silent: %(names)s.",
            "%(n)d sending domains of the pool are not verified, and their mailboxes stay silent: %(names)s.",
            len(blocked),
        )
        yield _of_domains("domains_not_verified", Level.WARNING, text, blocked, len(found), _("Check their records."))
    if degraded:
        text = ngettext(
            "The authentication of %(n)d sending domain fails: %(names)s.",
            "The authentication of %(n)d sending domains fails: %(names)s.",
            len(degraded),
        )
        remedy = _("Put their DNS records right; receivers refuse or hide such mail.")
        yield _of_domains("domains_degraded", Level.WARNING, text, degraded, len(found), remedy)
    if young:
        text = ngettext(
            "%(n)d sending domain was registered too recently to send yet: %(names)s.",
            "%(n)d sending domains were registered too recently to send yet: %(names)s.",
            len(young),
        )
        yield _of_domains("domains_too_young", Level.NOTE, text, young, len(found))
    old = [row for row in sending if row.checked_at is not None and row.checked_at < ground.now - STALE]
    if old:
        text = ngettext(
            "The records of %(n)d sending domain were last looked at more than three days ago: %(names)s.",
            "The records of %(n)d sending domains were last looked at more than three days ago: %(names)s.",
            len(old),
        )
        yield _of_domains("domains_not_checked", Level.WARNING, text, old, len(found), _("Check them now."))
    never = [row for row in sending if row.checked_at is None]
    if never:
        text = ngettext(
            "The records of %(n)d sending domain were never looked at: %(names)s.",
            "The records of %(n)d sending domains were never looked at: %(names)s.",
            len(never),
        )
        yield _of_domains("domains_never_checked", Level.NOTE, text, never, len(found), _("Check them now."))


def _of_domains(
    code: str, level: Level, text: str, found: Sequence[SendingDomain], total: int, remedy: str = ""
) -> Finding:
    names = ", ".join(row.name for row in found[:3]) + (", ..." if len(found) > 3 else "")
    ids = ",".join(str(row.pk) for row in found[:100])
    rows = Link("mailboxes_sendingdomain", {"id__in": ids})
    return Finding(code, level, text % {"n": len(found), "names": names}, remedy, len(found), total, rows)


def bases(ground: Ground) -> Iterator[Finding]:
    """The terms of the hosts allow the bases on which the list's people are written to."""
    if ground.campaign.pool_id is None or not ground.people:
        return
    routes = routes_of.routes(ground.campaign.pool_id)
    if not routes:
        return
    labels = dict(Contact.Basis.choices)
    for basis, count in sorted(ground.by("basis").items()):
        lacking = [route for route in routes if basis not in route.allowed]
        if not lacking:
            continue
        names = ", ".join(route.name for route in lacking[:3]) + (", ..." if len(lacking) > 3 else "")
        values = {"basis": labels.get(basis, basis), "names": names, "n": f"{count:,}"}
        remedy = _("Enter what the host's terms allow, with the link, or send to these people from another pool.")
        text = _(
            "%(n)s people have the basis %(basis)s, which not every account of the pool may carry: %(names)s. "
            "They wait, since any mailbox of the pool may be the one that writes."
        )
        level = Level.ERROR if count == ground.people else Level.WARNING
        yield Finding(
            f"basis_not_allowed:{basis}", level, text % values, remedy, count, ground.people,
            ground.members(f"basis:{basis}"),
        )  # fmt: skip
