"""PostgreSQL crashes under load: F14, on a server of its own that waits for the disk."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from django.conf import settings
from django.db import connections

from outreach import embedded
from outreach.demo.sink import Book
from tests.faults.books import WITH_A_COPY
from tests.faults.conftest import CONTACTS, House, nursery_of, until
from tests.faults.nursery import ROOT
from tests.faults.sink import Rule

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.as_worker]
CRASHES = 2
HASTY = {"fsync": "off"}  # while nothing is to survive


@contextmanager
def using(server):
    """This process's own connection goes to another server for a while."""
    connections.close_all()
    known = {name: settings.DATABASES["default"][name] for name in ("HOST", "NAME", "USER")}
    settings.DATABASES["default"].update(HOST=str(server.sockets), NAME=embedded.DATABASE, USER=embedded.WORKER)
    try:
        yield
    finally:
        connections.close_all()
        settings.DATABASES["default"].update(known)


@pytest.fixture
def own_server(process_env, tmp_path):
    """A migrated PostgreSQL with fsync on, the environment to reach it, and this process connected to it."""
    server = embedded.Postgres(tmp_path / "server", options=HASTY)
    server.start()
    try:
        env = process_env | {
            "DATABASE_URL": server.url(embedded.WEB),
            "WORKER_DATABASE_URL": server.url(embedded.WORKER),
            "OWNER_DATABASE_URL": server.url(embedded.OWNER),
        }
        command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(command, cwd=ROOT, env=env, check=True)
        server.stop()
        os.sync()
        server = embedded.Postgres(server.root)
        server.start()
        with using(server):
            yield server, env
    finally:
        server.stop(signal.SIGQUIT)


def crash(server, folder):
    """End the server as a power cut would, keep what was on its disk, start it again after a while.

    Returns the copy of the data, and the times between which nobody could write.
    """
    server.stop(signal.SIGQUIT)
    down = time.time()
    shutil.copytree(server.data, folder / "postgres")
    time.sleep(1)
    up = time.time()
    server.start()
    return folder, down, up


def states_on_disk(folder):
    """{Message-ID: status} as a crashed server's disk had it."""
    server = embedded.Postgres(folder, options=HASTY)
    server.start()
    try:
        with server.connect(database=embedded.DATABASE) as link:
            return dict(link.execute("SELECT message_id, status FROM campaigns_message").fetchall())
    finally:
        server.stop(signal.SIGQUIT)


@pytest.mark.fault("F14")
def test_a_database_that_crashes_under_load_doubles_nothing(
    own_server, empty_queue, nurseries, tmp_path, launch, sink, compare
):
    server, env = own_server
    sink.rules(Rule("dot", delay_seconds=0.1))
    house = House(nursery_of(nurseries, env), tmp_path)
    crashes = []
    try:
        campaign = launch()
        house.cron()
        house.workers()
        for number in range(1, CRASHES + 1):
            share = number / (CRASHES + 1)
            until(lambda share=share: len(sink.read_book().accepted) >= share * CONTACTS, f"{share:.0%} are sent")
            connections.close_all()
            crashes.append(crash(server, tmp_path / f"crash-{number}"))
        house.finish(campaign)
        books = compare(campaign)
    finally:
        house.close()
        print(house.logs())  # noqa: T201

    assert set(books.states()) <= {"sent", "uncertain"}
    for folder, down, up in crashes:
        check_crash(folder, down, up, books)


def check_crash(folder, down, up, books):
    """Whatever the sink had when the database came back was past the point of no return on the disk before."""
    then = states_on_disk(folder)
    book: Book = books.book
    had = [entry for entry in book.accepted if entry.at < up]
    assert {then[entry.message_id.strip("<>")] for entry in had} <= WITH_A_COPY
    during = [entry for entry in had if entry.at > down]
    assert {then[entry.message_id.strip("<>")] for entry in during} <= {"committing"}
    assert len({entry.mail_from for entry in during}) == len(during)  # the dot that was granted, and none after it
    now = {row.message_id: row.status for row in books.rows}
    assert {now[message_id] for message_id, status in then.items() if status == "committing"} <= {"sent", "uncertain"}
