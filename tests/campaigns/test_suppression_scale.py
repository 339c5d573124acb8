"""Many people and a long list of entries, part of which arrives while mail is going out: none of them gets any.

SUPPRESSION_PEOPLE, SUPPRESSION_ENTRIES and SUPPRESSION_SENT set the size: people in the list, entries in force before
the launch, and mails that really go out. 1000000, 100000 and 20000 are the size that the console is made for.
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from campaigns.models import Batch, Contact, ContactList, Enrolment, Message, Suppression
from campaigns.pipeline import batcher, planner, sender
from campaigns.services import campaigns, importing, importing_suppressions, suppression
from outreach import cron
from outreach.demo.sink import Book
from outreach.demo.sink_process import SinkProcess
from tenants.services.actors import SYSTEM
from tests import factories

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.as_worker]

PEOPLE = int(os.environ.get("SUPPRESSION_PEOPLE", "2000"))
ENTRIES = int(os.environ.get("SUPPRESSION_ENTRIES", "400"))
SENT = int(os.environ.get("SUPPRESSION_SENT", str(PEOPLE)))
DOMAINS = 200
ARRIVING = 20  # entries recorded at once while mail goes out
BATCHES = 10  # of 100, in one job


class Arrivals:
    """Suppresses people whose mail a worker has claimed, as opt-outs do, in a thread of its own.

    `late` are those for whom it was too late: at the commit of their entry their mail was past the point of no return.
    """

    def __init__(self, tenant) -> None:
        self.tenant, self.over = tenant, threading.Event()
        self.stopped: set[str] = set()
        self.late: set[str] = set()

    def run(self) -> None:
        try:
            while not self.over.wait(0.02) and len(self.stopped) < ENTRIES // 2:
                self._arrive()
        finally:
            connection.close()

    def _arrive(self) -> None:
        claimed = Message.objects.filter(tenant=self.tenant, status="claimed").order_by("?")
        emails = list(claimed.values_list("contact__email", flat=True)[:ARRIVING])
        if not emails:
            return
        with transaction.atomic():
            suppression.suppress(self.tenant, emails, actor=SYSTEM, reason="opt_out", via="page")
            gone = Message.objects.filter(tenant=self.tenant, contact__email__in=emails)
            gone = gone.filter(status__in=["committing", "sent", "uncertain"])
            late = set(gone.values_list("contact__email", flat=True))
        self.late |= late
        self.stopped |= set(emails) - late


def make_people(tenant, path) -> tuple[ContactList, list[str]]:
    """A list of valid people from a file, and their addresses."""
    emails = [f"person{n}@people{n % DOMAINS}.example" for n in range(PEOPLE)]
    rest = "Ann,Acme,corporate_named,fair in Kyiv,consent,2026-01-02,UA,badge scan\n"
    with path.open("w") as file:
        file.write("email,first_name,company,person_kind,source,lawful_basis,basis_date,country,basis_evidence\n")
        file.writelines(f"{email},{rest}" for email in emails)
    *_, report = importing.import_contacts(tenant, path, list_name="All", actor=SYSTEM)
    assert (report.created, report.refused) == (PEOPLE, 0)
    Contact.objects.filter(tenant=tenant).update(validity="valid")
    return ContactList.objects.get(tenant=tenant), emails


def suppress_by_file(tenant, emails, path) -> None:
    path.write_text("email,reason\n" + "".join(f"{email.upper()},manual\n" for email in emails))
    *_, report = importing_suppressions.import_suppressions(tenant, path, actor=SYSTEM)
    assert (report.created, report.refused) == (len(emails), 0)


def test_nobody_suppressed_is_planned_claimed_or_sent(tmp_path, settings, capsys):
    settings.SMTP_ALLOW_LOOPBACK, settings.SEND_CONNECTIONS = True, 4  # so that claimed rows wait for their turn
    times, began = {}, time.monotonic()

    def lap(name: str) -> None:
        nonlocal began
        times[name] = times.get(name, 0) + time.monotonic() - began
        began = time.monotonic()

    with SinkProcess(tmp_path / "book.jsonl") as sink, ThreadPoolExecutor(1) as beside:
        tenant = factories.tenant()
        boxes = factories.fleet(tenant, 20, host=sink.host, port=sink.port, daily_cap=max(1000, SENT))
        listed, people = make_people(tenant, tmp_path / "people.csv")
        before = set(random.Random(6).sample(people, ENTRIES))
        lap("people")
        suppress_by_file(tenant, sorted(before), tmp_path / "entries.csv")
        lap("entries")
        campaign = campaigns.start(
            factories.campaign(tenant, boxes[0].pool, listed, daily_cap=SENT if SENT < PEOPLE else None), actor=SYSTEM,
            accept=["many_suppressed"],
        )  # fmt: skip
        while campaigns.enrol_more(campaign):
            pass
        lap("enrolment")
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM campaigns_enrolment WHERE campaign_id = %s", [campaign.pk])
            assert cursor.fetchone()[0] == PEOPLE
        arrivals, quiet = Arrivals(tenant), 0
        planned: set[str] = set()
        arriving = beside.submit(arrivals.run)
        while quiet < 2:
            run = planner.run(tenant, cron.now())
            lap("planning")
            waiting = Message.objects.filter(tenant=tenant).values_list("contact__email", flat=True)
            planned |= set(waiting)
            batcher.run(tenant.pk)
            ids = list(Batch.objects.filter(tenant=tenant, done_at=None).values_list("pk", flat=True))
            for n in range(0, len(ids), BATCHES):
                sender.send_batches(tenant.pk, ids[n : n + BATCHES])
            lap("sending")
            quiet = 0 if ids or (run and run.planned) else quiet + 1
        arrivals.over.set()
        arriving.result(30)
        got = [entry.recipient for entry in Book.read(sink.path).accepted]

    assert len(got) == len(set(got))
    assert planned & before == set()
    assert set(got) & before == set()
    assert set(got) & arrivals.stopped == set()
    assert arrivals.late <= set(got)
    # Entries did meet claimed rows, and each row that they closed says so.
    assert len(arrivals.stopped) > 0
    closed = Message.objects.filter(tenant=tenant, status="suppressed", last_claim__isnull=False)
    assert closed.count() > 0
    assert set(Message.objects.filter(tenant=tenant).values_list("status", flat=True)) == {"sent", "suppressed"}
    if SENT >= PEOPLE:
        assert set(got) == set(people) - before - arrivals.stopped
        refused = Enrolment.objects.filter(campaign=campaign, stop_reason="suppressed").count()
        assert refused == len(before) + len(arrivals.stopped)
    assert Suppression.objects.filter(tenant=tenant, lifted_at=None, reason="manual").count() == ENTRIES
    assert Contact.objects.filter(tenant=tenant).count() == PEOPLE
    with capsys.disabled():
        told = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in times.items())
        counts = f"{PEOPLE:,} people, {ENTRIES:,} entries, {len(got):,} sent, {len(arrivals.stopped):,} stopped"
        sys.stderr.write(f"\n{counts}: {told}\n")
