"""By which account a domain's mail leaves: its own, or while that one is out the first standby that may carry it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Q
from django.db.models.functions import Now

from mailboxes.models import Mailbox, ProviderAccount, SendingDomain, Standby
from outreach.common import hooks, repeating
from outreach.common.errors import BadInput
from tenants.services import audit
from tenants.services.actors import Actor

LONGEST_ROUTE = 5

# Only an outage is stood in for. What a person paused, what its host suspended, and what asked for less mail waits: to
# go another way would be a way round. A standby carries what the campaigns of the pool rest on, or nothing of the pool.
CHOOSE = """
WITH needed AS (
    SELECT pool_id, string_to_array(bases, ' ') AS bases
    FROM unnest(%(pools)s::bigint[], %(bases)s::text[]) AS n (pool_id, bases)
), wanted AS (
    SELECT b.id, b.home_id, b.standby_id AS before, CASE WHEN h.state = 'active' AND h.circuit <> 'closed' THEN (
        SELECT s.account_id FROM mailboxes_standby s
        JOIN mailboxes_provideraccount a ON a.id = s.account_id
        LEFT JOIN needed ON needed.pool_id = b.pool_id
        WHERE s.domain_id = b.domain_id AND s.account_id <> b.home_id AND s.ready
          AND a.state = 'active' AND a.circuit = 'closed' AND (a.blocked_until IS NULL OR a.blocked_until <= now())
          AND cardinality(a.allowed_bases) > 0
          AND a.allowed_bases::text[] @> coalesce(needed.bases, '{}'::text[])
        ORDER BY s.position LIMIT 1
    ) END AS after
    FROM mailboxes_mailbox b JOIN mailboxes_provideraccount h ON h.id = b.home_id
    WHERE b.tenant_id = %(tenant)s AND b.state <> 'retired' AND (h.circuit <> 'closed' OR b.standby_id IS NOT NULL)
)
SELECT id, home_id, before, after FROM wanted WHERE before IS DISTINCT FROM after ORDER BY id"""

# What made the mailbox rest was the connection to the account that it leaves now.
MOVE = """
UPDATE mailboxes_mailbox b
SET standby_id = told.account_id, blocked_until = CASE WHEN b.failures = 0 THEN b.blocked_until END, failures = 0
FROM unnest(%(boxes)s::bigint[], %(accounts)s::bigint[]) AS told (id, account_id) WHERE b.id = told.id"""


@repeating.atomic
def set_route(
    domain: SendingDomain, accounts: Sequence[ProviderAccount], *, actor: Actor, reason: str = ""
) -> list[Standby]:
    """Say which accounts stand in for those of the domain's mailboxes, in this order; none: an outage means waiting.

    They stand in once a check of the domain found that receivers would take their mail for the domain's own, which is
    asked soon. Raises NotAllowed, BadInput.
    """
    actor.require("mailboxes.set_account_state", domain)
    domain = SendingDomain.objects.select_for_update(no_key=True).get(pk=domain.pk)
    if len(accounts) > LONGEST_ROUTE:
        raise BadInput(f"At most {LONGEST_ROUTE} accounts stand in for a domain.", field="accounts")
    if len({account.pk for account in accounts}) != len(accounts):
        raise BadInput("An account stands in only once.", field="accounts")
    if any(account.tenant_id != domain.tenant_id for account in accounts):
        raise BadInput("An account of another tenant stands in for nobody here.", field="accounts")
    known = {row.account_id: row for row in Standby.objects.filter(domain=domain)}
    before = [row.account_id for row in sorted(known.values(), key=lambda row: row.position)]
    wanted = [account.pk for account in accounts]
    Standby.objects.filter(domain=domain).exclude(account__in=wanted).delete()
    for position, account in enumerate(accounts, start=1):
        if row := known.get(account.pk):
            row.position = position
            row.save(update_fields=["position"])
        else:
            Standby.objects.create(tenant_id=domain.tenant_id, domain=domain, account=account, position=position)
    if domain.state != SendingDomain.State.RETIRED:
        SendingDomain.objects.filter(pk=domain.pk).update(check_due_at=None)
    settle(domain.tenant_id, actor=actor)
    audit.record(actor, "domain.route_set", domain, reason=reason, before=before, after=wanted)
    return list(Standby.objects.filter(domain=domain).select_related("account").order_by("position"))


def note_ready(
    domain: SendingDomain, found: Mapping[int, tuple[bool | None, str]], *, actor: Actor, now: datetime
) -> None:
    """Keep what a check says of the domain's standbys, {account id: (ready, why)}; who is no longer ready goes back.

    None means that nobody could tell: what was known before stands.
    """
    actor.require("deliverability.check", domain)
    changed = False
    for row in Standby.objects.filter(domain=domain, account__in=list(found)).select_for_update(no_key=True):
        ready, why = found[row.account_id]
        if ready is None and row.ready is not None:
            continue
        changed |= row.ready != ready
        row.ready, row.ready_reason, row.ready_at = ready, why[:500], now
        row.save(update_fields=["ready", "ready_reason", "ready_at"])
    if changed:
        settle(domain.tenant_id, actor=actor)


@repeating.atomic
def settle(tenant_id: int, *, actor: Actor) -> int:
    """Let each mailbox whose own account is out leave by its first permitted standby, and lead the others back home.

    What was planned by the way of before goes back to the planner, in the same transaction. Returns how many mailboxes
    changed their way. Safe to call at any time.
    """
    touched = Mailbox.objects.filter(tenant=tenant_id).exclude(state=Mailbox.State.RETIRED)
    touched = touched.filter(~Q(home__circuit=ProviderAccount.Circuit.CLOSED) | Q(standby__isnull=False))
    pools = sorted(set(touched.values_list("pool_id", flat=True)))
    if not pools:
        return 0
    needed: dict[int, set[str]] = {}
    hooks.call("mailboxes.bases_needed", pool_ids=pools, found=needed)
    values = {
        "tenant": tenant_id, "pools": list(needed), "bases": [" ".join(sorted(each)) for each in needed.values()],
    }  # fmt: skip
    moved = _move(values)
    if not moved:
        return 0
    ids = [row[0] for row in moved]
    hooks.call("mailboxes.withdrawn", mailbox_ids=ids, reason="another way out")
    counts = Counter((home, before, after) for _id, home, before, after in moved)
    homes = ProviderAccount.objects.in_bulk({home for home, _before, _after in counts})
    for (home, before, after), count in sorted(counts.items(), key=str):
        action = "account.returned_to" if after is None else "account.stood_in_for"
        audit.record(actor, action, homes[home], before=before, after=after, mailboxes=count)
    return len(moved)


def _move(values: Mapping[str, Any]) -> list[tuple[int, int, int | None, int | None]]:
    with connection.cursor() as cursor:
        cursor.execute(CHOOSE, values)
        ids = [row[0] for row in cursor.fetchall()]
        # Locked in id order, and chosen again behind the locks.
        list(Mailbox.objects.filter(pk__in=ids).order_by("pk").select_for_update(no_key=True).values_list("pk"))
        cursor.execute(CHOOSE, values)
        moved = [row for row in cursor.fetchall() if row[0] in set(ids)]
        cursor.execute(MOVE, {"boxes": [row[0] for row in moved], "accounts": [row[3] for row in moved]})
    return moved


def wake(account: ProviderAccount) -> None:
    """Its mailboxes rest no longer for connections to it that broke: it works again."""
    boxes = Mailbox.objects.filter(home=account, standby=None, failures__gt=0, blocked_until__gt=Now())
    ids = list(boxes.order_by("pk").select_for_update(no_key=True).values_list("pk", flat=True))
    Mailbox.objects.filter(pk__in=ids).update(failures=0, blocked_until=None)
