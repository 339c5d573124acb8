"""Accounts by their own results: counted by the minute, out when most tries break, back when a probe works.

The rule is mailboxes.circuits; who stands in meanwhile is mailboxes.services.routes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.db import connection
from django.db.models import Max, Q, Sum
from django.db.models.functions import Now

from mailboxes import circuits
from mailboxes.models import AccountMinute, Mailbox, ProviderAccount, Standby
from mailboxes.services import routes
from mailboxes.transports.base import PermanentSendError, SendError
from mailboxes.ways import connecting
from mailboxes.ways.way import COLUMNS, Way, of_row
from outreach.common import hooks, isolation, repeating
from outreach.common.errors import OutreachError
from tenants.services import audit
from tenants.services.actors import Actor

log = structlog.get_logger(__name__)

KEPT = timedelta(days=7)
SOUND_AFTER = timedelta(minutes=10)  # without a broken try, and the next opening counts as the first one
State, Circuit = ProviderAccount.State, ProviderAccount.Circuit

UPSERT = """
INSERT INTO mailboxes_accountminute (tenant_id, account_id, minute, tries, broken, total_ms, longest_ms)
SELECT %(tenant)s, told.account, date_trunc('minute', clock_timestamp()), told.tries, told.broken, told.ms, told.longest
FROM unnest(%(accounts)s::bigint[], %(tries)s::int[], %(broken)s::int[], %(total)s::bigint[], %(longest)s::int[])
    AS told (account, tries, broken, ms, longest)
ORDER BY told.account
ON CONFLICT (account_id, minute) DO UPDATE SET
    tries = mailboxes_accountminute.tries + excluded.tries, broken = mailboxes_accountminute.broken + excluded.broken,
    total_ms = mailboxes_accountminute.total_ms + excluded.total_ms,
    longest_ms = greatest(mailboxes_accountminute.longest_ms, excluded.longest_ms)"""

# Whoever is at home there and could sign in; a mailbox that is held can't.
PROBE_BY = f"""
SELECT {COLUMNS} FROM mailboxes_provideraccount a
JOIN mailboxes_mailbox b ON b.tenant_id = a.tenant_id AND (b.home_id = a.id OR EXISTS (
    SELECT FROM mailboxes_standby s WHERE s.account_id = a.id AND s.domain_id = b.domain_id))
WHERE a.id = %s AND b.state <> 'retired' AND b.hold = 'none'
ORDER BY b.home_id <> a.id, b.state NOT IN ('active', 'ramping'), b.id LIMIT 1"""  # noqa: S608 - columns of ours


@dataclass(slots=True)
class Tally:
    """What tries at one account came to since it was last counted."""

    tries: int = 0
    broken: int = 0
    total_ms: int = 0
    longest_ms: int = 0

    def add(self, is_broken: bool, milliseconds: int) -> None:
        self.tries += 1
        self.broken += is_broken
        self.total_ms += milliseconds
        self.longest_ms = max(self.longest_ms, milliseconds)


def note(tenant_id: int, tallies: Mapping[int, Tally], *, actor: Actor) -> set[int]:
    """Count what was tried at the tenant's accounts; return those whose circuit opened by it."""
    ids = sorted(tallies)
    with connection.cursor() as cursor:
        cursor.execute(
            UPSERT,
            {
                "tenant": tenant_id,
                "accounts": ids,
                "tries": [tallies[pk].tries for pk in ids],
                "broken": [tallies[pk].broken for pk in ids],
                "total": [tallies[pk].total_ms for pk in ids],
                "longest": [tallies[pk].longest_ms for pk in ids],
            },
        )
    return {pk for pk in ids if tallies[pk].broken and _judge(pk, actor=actor)}


@repeating.atomic
def _judge(account_id: int, *, actor: Actor) -> bool:
    """Open the account's circuit if its last minutes say so."""
    account = ProviderAccount.objects.select_for_update(no_key=True).get(pk=account_id)
    if account.state != State.ACTIVE or account.circuit != Circuit.CLOSED:
        return False
    minutes = AccountMinute.objects.filter(account=account, minute__gt=Now() - circuits.LOOKED_AT)
    counts = [circuits.Count(*row) for row in minutes.values_list("tries", "broken")]
    boxes = Mailbox.objects.exclude(state=Mailbox.State.RETIRED)
    users = boxes.filter(Q(home=account, standby=None) | Q(standby=account))
    has_standby = Standby.objects.filter(domain__mailboxes__in=users).exclude(account=account).exists()
    if not circuits.is_out(counts, users.count(), has_standby=has_standby):
        return False
    broken, tries = sum(count.broken for count in counts), sum(count.tries for count in counts)
    _open(account, f"{broken} of {tries} tries broke", actor=actor)
    return True


def _open(account: ProviderAccount, why: str, *, actor: Actor) -> None:
    openings = min(account.failures + 1, 1000)
    ProviderAccount.objects.filter(pk=account.pk).update(
        circuit=Circuit.OPEN, failures=openings, probe_at=Now() + circuits.pause(openings), state_reason=why
    )
    boxes = Mailbox.objects.filter(Q(home=account, standby=None) | Q(standby=account)).order_by("pk")
    ids = list(boxes.select_for_update(no_key=True).values_list("pk", flat=True))
    hooks.call("mailboxes.withdrawn", mailbox_ids=ids, reason="account out")
    routes.settle(account.tenant_id, actor=actor)
    audit.record(actor, "account.circuit_opened", account, reason=why, mailboxes=len(ids), openings=openings)
    log.warning("circuit.opened", account_id=account.pk, why=why, mailboxes=len(ids), openings=openings)


# --- Trying again --------------------------------------------------------------------------------------------------


def due() -> list[tuple[int, int]]:
    """(tenant id, account id) of the accounts whose circuit is to be tried now, in the present scope."""
    rows = ProviderAccount.objects.filter(state=State.ACTIVE, probe_at__lte=Now()).order_by("probe_at", "pk")
    return list(rows.values_list("tenant_id", "pk"))


def probe(tenant_id: int, account_id: int, *, actor: Actor) -> str:
    """Connect to an account that is out, without a mail: `closed` when it works again, `open`, or `nothing`.

    One prober at a time: the circuit is half open meanwhile. No transaction is open while the network is asked.
    """
    with isolation.tenants([tenant_id]):
        way = _half_open(account_id)
        if way is None:
            return "nothing"
        why = attempt(way)
        return _ended(account_id, why, actor=actor)


@repeating.atomic
def _half_open(account_id: int) -> Way | None:
    account = ProviderAccount.objects.select_for_update(no_key=True).filter(
        pk=account_id, state=State.ACTIVE, probe_at__lte=Now()
    )
    if not account.exists():
        return None
    with connection.cursor() as cursor:
        cursor.execute(PROBE_BY, [account_id])
        row = cursor.fetchone()
    lost = timedelta(seconds=circuits.PROBE_SECONDS)
    ProviderAccount.objects.filter(pk=account_id).update(circuit=Circuit.HALF_OPEN, probe_at=Now() + lost)
    return of_row(row) if row else None


def attempt(way: Way) -> str:
    """Why the account can't be used, "" when it can. A refused sign-in is the mailbox's trouble: the host answers."""
    try:
        transport = connecting.connector(way)()
        try:
            transport.open()
        finally:
            transport.close()
    except PermanentSendError as error:
        return "" if error.phase == "auth" else str(error)
    except (SendError, OutreachError) as error:
        return str(error)
    return ""


@repeating.atomic
def _ended(account_id: int, why: str, *, actor: Actor) -> str:
    account = ProviderAccount.objects.select_for_update(no_key=True).get(pk=account_id)
    if account.circuit != Circuit.HALF_OPEN:
        return "nothing"
    if why:
        openings = min(account.failures + 1, 1000)
        ProviderAccount.objects.filter(pk=account_id).update(
            circuit=Circuit.OPEN, failures=openings, probe_at=Now() + circuits.pause(openings), state_reason=why[:500]
        )
        return "open"
    ProviderAccount.objects.filter(pk=account_id).update(circuit=Circuit.CLOSED, probe_at=None, state_reason="")
    AccountMinute.objects.filter(account=account, minute__gt=Now() - circuits.LOOKED_AT).update(broken=0)
    routes.settle(account.tenant_id, actor=actor)
    routes.wake(account)
    ids = list(Mailbox.objects.filter(home=account).order_by("pk").values_list("pk", flat=True)[:1])
    hooks.call("mailboxes.withdrawn", mailbox_ids=ids, reason="account back")  # asks for a plan
    audit.record(actor, "account.circuit_closed", account, openings=account.failures)
    log.info("circuit.closed", account_id=account.pk)
    return "closed"


def tidy() -> int:
    """Forget old minutes, and the openings of accounts that have been sound for a while; in the present scope."""
    gone = AccountMinute.objects.filter(minute__lt=Now() - KEPT).delete()[0]
    sound = ProviderAccount.objects.filter(circuit=Circuit.CLOSED, failures__gt=0)
    broken = AccountMinute.objects.filter(minute__gt=Now() - SOUND_AFTER, broken__gt=0).values("account_id")
    return gone + sound.exclude(pk__in=broken).update(failures=0)


def health(accounts: Iterable[int], minutes: int = 60) -> dict[int, dict[str, int]]:
    """Tries, broken ones, mean and longest milliseconds of each account's last minutes, by account id."""
    rows = AccountMinute.objects.filter(account__in=list(accounts), minute__gt=Now() - timedelta(minutes=minutes))
    found = rows.order_by().values("account_id").annotate(
        n=Sum("tries"), bad=Sum("broken"), ms=Sum("total_ms"), longest=Max("longest_ms")
    )  # fmt: skip
    return {
        row["account_id"]: {
            "tries": row["n"], "broken": row["bad"], "mean_ms": round(row["ms"] / max(row["n"], 1)),
            "longest_ms": row["longest"],
        }
        for row in found
    }  # fmt: skip
