"""The whole campaign, from planned rows to sent rows, beside those who only send."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

from django.conf import settings
from django.db import connection
from django.test import override_settings

from campaigns.models import Message
from campaigns.pipeline import planner
from campaigns.services import campaigns
from outreach import cron
from tenants.services.actors import SYSTEM
from tests import factories
from tests.bench import content, house, peers
from tests.bench.figures import Row, load
from tests.bench.workers import Workers, forget_peak

MAILBOXES = 1200
SIZE = 4000  # bytes of smtp-source's mails; ours are measured and named in the note
PATIENCE_SECONDS = 120
WAITING = """
SELECT EXISTS (SELECT FROM campaigns_batch WHERE campaign_id = %(campaign)s AND done_at IS NULL) OR EXISTS (
    SELECT FROM campaigns_message WHERE campaign_id = %(campaign)s AND status IN ('planned', 'claimed', 'committing')
)"""


@dataclass
class Side:
    """What one side did in each round."""

    seconds: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    peak_mib: list[float] = field(default_factory=list)
    batch_seconds: list[float] = field(default_factory=list)

    def rates(self, messages: int) -> list[float]:
        return [messages / seconds for seconds in self.seconds]


class Stage:
    """A tenant with its fleet and its people; every round sends a new campaign to all of them."""

    def __init__(self, port: int, people: int) -> None:
        self.people = people
        self.tenant = factories.tenant()
        fleet = factories.fleet(self.tenant, MAILBOXES, port=port, domains=60, username="", daily_cap=1_000_000)
        self.pool = fleet[0].pool
        self.list = factories.contact_list(self.tenant)
        factories.people(self.tenant, self.list, people)
        self.warm_list = factories.contact_list(self.tenant)
        factories.people(self.tenant, self.warm_list, 500)

    def send(self, workers: Workers, side: Side | None) -> None:
        """Plan a campaign, then time it from planned rows to sent rows; `side` None: warm the processes up."""
        people_list = self.list if side else self.warm_list
        texts = {"subject": content.SUBJECT, "text_body": content.TEXT, "html_body": content.HTML}
        campaign = factories.campaign(self.tenant, self.pool, people_list, **texts)
        campaigns.start(campaign, actor=SYSTEM)
        run = planner.run(self.tenant, cron.now())
        if run is None or (side and run.planned != self.people):
            raise RuntimeError(f"The planner planned {run and run.planned} of {self.people}: {run and run.limits}")
        settle()
        for pid in workers.pids:
            forget_peak(pid)
        before, started = workers.used(), time.monotonic()
        batching = time_of(cron.batch)
        seconds = wait_until_sent(campaign.pk, workers, started)
        after = workers.used()
        sent = Message.objects.filter(campaign=campaign, status="sent").count()
        if sent != run.planned:
            raise RuntimeError(f"Only {sent} of {run.planned} were sent: {campaigns.status(campaign)}")
        if side:
            side.seconds.append(seconds)
            side.batch_seconds.append(batching)
            side.cpu_us.append((after.cpu_seconds - before.cpu_seconds) / sent * 1e6)
            side.peak_mib.append(after.peak_mib)


def wait_until_sent(campaign_id: int, workers: Workers, started: float) -> float:
    """Do cron's part each second until nothing waits any more; return the seconds since `started`."""
    turn = time.monotonic() + settings.BATCH_EVERY_SECONDS
    with connection.cursor() as cursor:
        while True:
            cursor.execute(WAITING, {"campaign": campaign_id})
            if not cursor.fetchone()[0]:
                return time.monotonic() - started
            if time.monotonic() >= turn:
                workers.check()
                cron.batch()
                turn = time.monotonic() + settings.BATCH_EVERY_SECONDS
            if time.monotonic() - started > PATIENCE_SECONDS:
                raise RuntimeError(f"Not sent within {PATIENCE_SECONDS} s; the log ends:\n{workers.words()}")
            time.sleep(0.01)


def settle() -> None:
    """What autovacuum would have done in a quiet minute, so that it does not come in the middle of a round."""
    with house.admin() as link:
        for table in ("campaigns_message", "campaigns_enrolment", "mailboxes_mailbox", "campaigns_batch"):
            link.execute(f"VACUUM (ANALYZE) {table}")  # noqa: S608 (our own names)
        link.execute("CHECKPOINT")


def time_of(act: Callable[[], object]) -> float:
    started = time.monotonic()
    act()
    return time.monotonic() - started


def rows(names: frozenset[str], *, quick: bool) -> Iterator[Row]:
    """Three rounds, the sides in turn within each; every side warmed up once."""
    people, rounds = (4000, 1) if quick else (10_000, 3)
    source, ours, once, office = Side(), Side(), Side(), Side()
    loads: list[float] = []
    with ExitStack() as stack:
        sink = stack.enter_context(peers.Sink())
        stage = Stage(sink.port, people)
        house.say(f"{MAILBOXES} mailboxes and {people} people stand ready.")
        main = stack.enter_context(Workers(["manage.py", "worker"], queue(1), "workers"))
        marking = rival = None
        if "never_doubling" in names:
            marking = stack.enter_context(Workers(["-m", "tests.bench.once_worker"], queue(2), "once"))
        if "post_office" in names:
            from tests.bench.rival import PostOffice

            rival = stack.enter_context(PostOffice(sink.port))
        for number in range(rounds + 1):
            warm = number == 0
            if not warm:
                loads.append(load())
                seconds, cpu = peers.source(sink.port, people * 2, SIZE)
                source.seconds.append(seconds / 2)
                source.cpu_us.append(cpu / people / 2 * 1e6)
            with_queue(stage, main, None if warm else ours)
            if marking:
                with_queue(stage, marking, None if warm else once)
            if rival:
                seconds, cpu = rival.send(500 if warm else people)
                if not warm:
                    office.seconds.append(seconds)
                    office.cpu_us.append(cpu / people * 1e6)
            if not warm:
                rates = {name: f"{people / side.seconds[-1]:,.0f}/s" for name, side in
                         (("smtp-source", source), ("ours", ours), ("once", once), ("post_office", office))
                         if side.seconds}  # fmt: skip
                house.say(f"round {number}: {rates}, CPU {ours.cpu_us[-1]:.0f} us, load {loads[-1]}")
    common = {"cpu_us": ours.cpu_us, "peak_mib": ours.peak_mib, "loads": loads}
    details = {"messages": people, "batching_seconds": ours.batch_seconds, "smtp_source_cpu_us": source.cpu_us}
    yield Row(
        "campaign", "messages/s", ours.rates(people), source.rates(people), 0.20, True, beyond=0.40, **common,
        details=details, note=f"{people} planned rows to sent rows against smtp-source, one connection per message",
    )  # fmt: skip
    if rival:
        yield Row(
            "post_office", "messages/s", ours.rates(people), office.rates(people), 3, True, beyond=6, **common,
            details={"their_cpu_us_per_message": office.cpu_us, "version": rival.version},
            note=f"django-post_office {rival.version}, 2 processes x 5 threads, batch 1000, no log rows",
        )  # fmt: skip
    yield Row(
        "cpu", "us/message", ours.cpu_us, [], 200, False, beyond=100, absolute=True, **common,
        note="user and system time of both workers; not PostgreSQL, not the sink. To compare machines: smtp-source "
        f"took {statistics.median(source.cpu_us):.0f} us a message here, 64 where the target was set",
    )  # fmt: skip
    if marking:
        yield Row(
            "never_doubling", "s", ours.seconds, once.seconds, 2, False, beyond=1.5, **common,
            details={"their_cpu_us_per_message": once.cpu_us},
            note="with `committing` before each dot against one mark after the job",
        )  # fmt: skip


def with_queue(stage: Stage, workers: Workers, side: Side | None) -> None:
    """Send with the hints going to these workers."""
    with override_settings(REDIS_URL=workers.queue_url):
        stage.send(workers, side)


def queue(number: int) -> str:
    return settings.REDIS_URL.replace("db=0", f"db={number}")
