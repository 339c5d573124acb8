"""The one table of periodic work, and the process that does it: planner, batcher, sweep, reaper.

It needs no Redis: what it finds due it does itself. Any number may run; the one whose lease
row is current leads, and another takes over when the lease runs out.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models import Q, QuerySet

from campaigns.models import Campaign, Canary, ContactUpload
from campaigns.pipeline import batcher, planner, reaper, testing
from campaigns.services import campaigns, canaries, contact_imports, scheduling, sharing, stops, validity
from deliverability.services import checks, verifying
from mailboxes.models import Mailbox, SendingDomain, Upload
from mailboxes.services import circuits, domain_ramp, editing, ramp, undo
from outreach.common import circumstances, isolation, queues
from tenants.models import FileUpload, Tenant
from tenants.services import uploads as files
from tenants.services.actors import SYSTEM

log = structlog.get_logger(__name__)

LEASE = "cron"
LEASE_SECONDS = 45
RENEW_SECONDS = 15
TICK_SECONDS = 0.2
UPLOADS: tuple[type[FileUpload], ...] = (Upload, ContactUpload)

TAKE_LEASE = """
INSERT INTO tenants_lease (name, holder, until)
VALUES (%(name)s, %(holder)s, now() + make_interval(secs => %(seconds)s))
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
WHERE tenants_lease.holder = excluded.holder OR tenants_lease.until < now()
RETURNING TRUE"""


def now() -> datetime:
    """The database's clock: the hosts' own may differ."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0].astimezone(UTC)


def lead(holder: UUID, seconds: float = LEASE_SECONDS) -> bool:
    """Take or renew the lease; False while somebody else leads."""
    with connection.cursor() as cursor:
        cursor.execute(TAKE_LEASE, {"name": LEASE, "holder": holder, "seconds": seconds})
        return cursor.fetchone() is not None


def resign(holder: UUID) -> None:
    """Let the next process lead at once."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM tenants_lease WHERE name = %s AND holder = %s", [LEASE, holder])


def wanted() -> list[Tenant]:
    """Tenants that asked for a plan; the wish is taken."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE tenants_tenant SET plan_wanted_at = NULL WHERE id IN ("
            "SELECT id FROM tenants_tenant WHERE plan_wanted_at <= now() ORDER BY id FOR NO KEY UPDATE SKIP LOCKED"
            ") RETURNING id"
        )
        ids = [row[0] for row in cursor.fetchall()]
    return list(Tenant.objects.filter(pk__in=ids).order_by("pk"))


def _sending() -> list[Tenant]:
    """Tenants with something that runs or waits."""
    busy = Campaign.objects.filter(status__in=["running", "paused", "halted", "cancelled"]).values("tenant_id")
    return list(Tenant.objects.filter(pk__in=busy, status=Tenant.Status.ACTIVE).order_by("pk"))


def tenant_of(subject: Any) -> int:
    """The tenant's id of a tenant, of a row that it owns, or the id itself."""
    if isinstance(subject, int):
        return subject
    return subject.pk if isinstance(subject, Tenant) else subject.tenant_id


def each(tenants: Iterable[Any], act: Callable[[Any], int]) -> int:
    """Do it for one tenant after the other, in its scope; one that fails is logged and holds up nobody."""
    count = 0
    for tenant in tenants:
        try:
            with isolation.tenants([tenant_of(tenant)], platform=True):
                count += act(tenant)
        except (DatabaseError, InterfaceError) as error:
            log.warning("cron.tenant_failed", act=act.__name__, tenant=str(tenant), error=str(error).strip()[:300])
            connection.close()
        except Exception:  # noqa: BLE001 - a defect that one tenant's data brings out is one tenant's trouble
            log.exception("cron.tenant_failed", act=act.__name__, tenant=str(tenant))
    return count


def _plan(tenant: Tenant) -> int:
    run = planner.run(tenant, now())
    if run is None or not (run.planned or run.retries):
        return 0
    log.info(
        "plan.done", tenant_id=tenant.pk, planned=run.planned, retries=run.retries, seconds=run.seconds,
        looked_at=run.looked_at, refused=run.refused,
    )  # fmt: skip
    return run.planned + run.retries


def plan(tenants: list[Tenant]) -> int:
    """Run the planner for each tenant; what it planned due at once is batched in the next pass."""
    return each(tenants, _plan)


def plan_wanted() -> int:
    return plan(wanted())


def plan_all() -> int:
    return plan(_sending())


def batch() -> int:
    """Batches for what is due, tenant by tenant, and rings for those that nobody took."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT tenant_id FROM campaigns_message WHERE status = 'planned' AND batch_id IS NULL")
        tenants = [row[0] for row in cursor.fetchall()]
    return each(sorted(tenants), batcher.run) + batcher.ring_again()


def enrol() -> int:
    """Go on with the lists of campaigns that were started."""
    waiting = Campaign.objects.exclude(enrol_until=None).exclude(status=Campaign.Status.CANCELLED).order_by("pk")
    return each(waiting, campaigns.enrol_more)


def start_scheduled() -> int:
    """Start the campaigns whose time has come; one that can't goes into review with the reason."""
    at = now()
    due = Campaign.objects.filter(status=Campaign.Status.SCHEDULED, scheduled_for__lte=at).order_by("scheduled_for")

    def start(campaign: Campaign) -> int:
        done = scheduling.start_due(campaign, at, actor=SYSTEM)
        return int(done.status == Campaign.Status.RUNNING)

    return each(due, start)


def watch_canaries() -> int:
    """Judge the canaries that run, and let those go whom a canary held that passed."""
    at = now()
    running = Canary.objects.filter(state=Canary.State.RUNNING, campaign__status=Campaign.Status.RUNNING)

    def watch(canary: Canary) -> int:
        if canaries.evaluate(canary, at, actor=SYSTEM).state != Canary.State.PASSED:
            return 0
        let_go = chunk = canaries.let_go(canary.campaign)
        while chunk == canaries.CHUNK:
            let_go += (chunk := canaries.let_go(canary.campaign))
        campaigns.want_plan(canary.tenant_id)
        return let_go

    return each(running.order_by("pk"), watch)


def sweep() -> int:
    """Leases and periods that are over, retries without a campaign, doubts that lasted, campaigns that are done."""
    reaped = reaper.reap()
    busy = Campaign.objects.filter(status__in=["running", "paused", "halted", "cancelled"]).values("tenant_id")
    tenants = Tenant.objects.filter(pk__in=busy).order_by("pk")  # suspended ones too: a plan may have crossed the stop
    return reaped.freed + reaped.uncertain + each(tenants, _sweep)


def _sweep(tenant: Tenant) -> int:
    moved = reaper.take_back_missed(tenant, now()) + reaper.take_back_stopped(tenant)
    moved += reaper.close_cancelled(tenant) + reaper.give_up(tenant, settings.GIVE_UP_SECONDS)
    moved += reaper.decide_doubts(tenant, settings.DOUBT_SECONDS)
    return moved + len(reaper.complete(tenant))


def test_sends() -> int:
    """Test mails whose worker vanished, and those whose mailbox was busy."""
    return each(testing.tenants_with_open(), testing.sweep)


def stops_over() -> int:
    """Note the stops whose time is over, and ask for the plans that they held up."""
    return stops.end_over(actor=SYSTEM)


def close_shared() -> int:
    """Close what waits for people who told another tenant, where both share: a day may have come, or a hint gone."""
    sharing_tenants = sharing.tenants()
    return each(sharing_tenants, sharing.close_waiting) if len(sharing_tenants) > 1 else 0


def ramps() -> int:
    """Decide the caps of the ramps for each tenant whose day has begun since it was last done."""
    at = now()
    of_mailboxes = Mailbox.objects.filter(ramp__isnull=False).values("tenant_id")
    of_domains = SendingDomain.objects.filter(ramp__isnull=False).values("tenant_id")
    with_ramps = Tenant.objects.filter(Q(pk__in=of_mailboxes) | Q(pk__in=of_domains))

    def decide(tenant: Tenant) -> int:
        day = ramp.day_of(tenant, at)
        domains = domain_ramp.run_domains_day(tenant, day, actor=SYSTEM).decided
        return domains + ramp.run_day(tenant, day, actor=SYSTEM, at=at).decided

    return each(with_ramps.order_by("pk"), decide)


def months() -> int:
    reaper.ensure_months(now())
    return 0


def forget_undo() -> int:
    """Delete what could undo old imports and bulk edits, with the passwords that imports replaced."""
    return each(Tenant.objects.order_by("pk"), _forget_undo)


def _forget_undo(tenant: Tenant) -> int:
    return undo.forget(tenant.pk) + editing.forget(tenant.pk) + contact_imports.forget(tenant.pk)


def check_domains() -> int:
    """Ring for the tenants that have domains due for a check: DNS may be slow, and nobody waits for it here."""
    tenants = checks.tenants_with_due(now())
    for tenant_id in tenants:
        queues.ring("deliverability.tasks.check_domains", tenant_id, queue="checks")
    return len(tenants)


def probe_accounts() -> int:
    """Ring for the accounts that are out and to be tried again: a host may keep us waiting."""
    with isolation.everything():
        due = circuits.due()
    for tenant_id, account_id in due:
        queues.ring("mailboxes.tasks.probe_account", tenant_id, account_id, queue="checks")
    return len(due)


def tidy_circuits() -> int:
    """Forget the minutes of accounts that are a week old, and openings that are over."""
    return each(Tenant.objects.order_by("pk"), lambda _tenant: circuits.tidy())


def find_receivers() -> int:
    """Ring for the tenants that send: somebody may have come whose domain nobody has asked about."""
    tenants = _sending()
    for tenant in tenants:
        queues.ring("deliverability.tasks.find_receivers", tenant.pk, queue="checks")
    return len(tenants)


def validate_contacts() -> int:
    """Ring for the tenants that have contacts without a verdict, however they came in."""
    tenants = validity.tenants_with_new()
    for tenant_id in tenants:
        queues.ring("deliverability.tasks.validate_contacts", tenant_id, queue="checks")
    return len(tenants)


def revalidate_contacts() -> int:
    """Ring for the tenants that send: unknown verdicts, old ones, and what a paid verifier may be asked about."""
    tenants = _sending()
    for tenant in tenants:
        queues.ring("deliverability.tasks.revalidate_contacts", tenant.pk, queue="checks")
        if verifying.is_wanted(tenant):
            queues.ring("deliverability.tasks.verify_contacts", tenant.pk, queue="checks")
    return len(tenants)


def forget_checks() -> int:
    """Delete the checks of domains that nobody needs any more."""
    return each(Tenant.objects.order_by("pk"), lambda tenant: checks.forget(tenant.pk, now=now()))


def uploads() -> int:
    """Ring again for uploaded files whose hint or whose worker was lost."""
    return sum(_of_uploads(model, files.needing_work(model), files.ring_again) for model in UPLOADS)


def forget_uploads() -> int:
    """Delete the bytes of uploads that are older than a day."""
    return sum(_of_uploads(model, model.objects.exclude(sealed_key=b""), files.forget) for model in UPLOADS)


def _of_uploads(model: type[FileUpload], rows: QuerySet[Any], act: Callable[[type[FileUpload], int], int]) -> int:
    tenants = list(rows.order_by("tenant_id").values_list("tenant_id", flat=True).distinct())
    return each(tenants, lambda tenant_id: act(model, tenant_id))


@dataclass(slots=True)
class Work:
    """One row of the table: what, how often in seconds, and when it is next due (monotonic)."""

    name: str
    act: Callable[[], int]
    every_seconds: float
    due: float = field(default=0.0)


def table() -> list[Work]:
    """Everything that happens by itself."""
    return [
        Work("months", months, 6 * 3600),
        Work("ramps", ramps, settings.RAMP_EVERY_SECONDS),  # before the plan, which reads the caps
        Work("forget_undo", forget_undo, 6 * 3600),
        Work("forget_checks", forget_checks, 6 * 3600),
        Work("check_domains", check_domains, settings.DOMAIN_CHECKS_EVERY_SECONDS),
        Work("probe_accounts", probe_accounts, 5),
        Work("tidy_circuits", tidy_circuits, 600),
        Work("find_receivers", find_receivers, settings.RECEIVERS_EVERY_SECONDS),
        Work("validate_contacts", validate_contacts, settings.VALIDATE_EVERY_SECONDS),
        Work("revalidate_contacts", revalidate_contacts, settings.REVALIDATE_EVERY_SECONDS),
        Work("stops_over", stops_over, settings.SWEEP_EVERY_SECONDS),
        Work("test_sends", test_sends, 15),
        Work("close_shared", close_shared, settings.SWEEP_EVERY_SECONDS),
        Work("uploads", uploads, 10),
        Work("forget_uploads", forget_uploads, 600),
        Work("start_scheduled", start_scheduled, 10),
        Work("watch_canaries", watch_canaries, 60),
        Work("enrol", enrol, settings.BATCH_EVERY_SECONDS),
        Work("plan_wanted", plan_wanted, TICK_SECONDS),
        Work("plan_all", plan_all, settings.PLAN_EVERY_SECONDS),
        Work("batch", batch, settings.BATCH_EVERY_SECONDS),
        Work("sweep", sweep, settings.SWEEP_EVERY_SECONDS),
    ]


class Leadership(threading.Thread):
    """Renews the lease on a connection of its own, so that a long planner run does not lose it."""

    def __init__(self, holder: UUID, stop: threading.Event) -> None:
        super().__init__(name="cron-lease", daemon=True)
        self.holder, self.stopping, self.leads = holder, stop, threading.Event()

    def run(self) -> None:
        while not self.stopping.is_set():
            try:
                leads = lead(self.holder)
            except (DatabaseError, InterfaceError) as error:
                log.warning("cron.no_database", error=str(error).strip()[:200])
                connection.close()
                leads = False
            if leads != self.leads.is_set():
                log.info("cron.leads" if leads else "cron.follows", holder=str(self.holder))
            (self.leads.set if leads else self.leads.clear)()
            self.stopping.wait(RENEW_SECONDS if leads else RENEW_SECONDS / 15)
        connection.close()


def run(stop: threading.Event) -> None:
    """Work off the table until told to stop; only the leader does anything."""
    leadership = Leadership(uuid4(), stop)
    leadership.start()
    works = table()
    while not stop.is_set():
        if leadership.leads.is_set():
            run_due(works)
        stop.wait(TICK_SECONDS)
    leadership.join(5)
    try:
        resign(leadership.holder)
    except (DatabaseError, InterfaceError) as error:
        log.warning("cron.not_resigned", error=str(error).strip()[:200])
    connection.close()


def run_due(works: list[Work]) -> None:
    """Do what is due now, in the order of the table; a failure is logged and tried again at its next turn."""
    for work in works:
        if time.monotonic() < work.due:
            continue
        with circumstances.begun("cron", work.name, actor_kind="system"):
            _do(work)
        work.due = time.monotonic() + work.every_seconds


def _do(work: Work) -> None:
    try:
        with isolation.everything():  # to find the work; each piece of it is done in its tenant's scope
            work.act()
    except (DatabaseError, InterfaceError) as error:
        log.warning("cron.database_error", work=work.name, error=str(error).strip()[:300])
        connection.close()
    except Exception:  # noqa: BLE001 - one broken kind of work must not stop the others
        log.exception("cron.failed", work=work.name)
