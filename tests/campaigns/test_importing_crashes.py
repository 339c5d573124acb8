"""An import in pieces: rows that repeat across chunks, memory, failures and kills in the middle."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import tracemalloc

import pytest
from django.conf import settings
from django.db import DatabaseError, connection

from campaigns.models import Contact, ContactList, ListEntry
from campaigns.services import contact_rows, contact_stage, importing
from tests import factories
from tests.campaigns.contact_files import counts, row, run, write_rows

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]

FULL_SIZE = int(os.environ.get("OUTREACH_FAULT_CONTACTS", "200")) >= 2000


@pytest.fixture
def tenant():
    return factories.tenant()


@pytest.mark.parametrize("errs", [False, True])
@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
def test_repeated_addresses_are_found_across_chunks(tenant, tmp_path, monkeypatch, chunk, errs):
    monkeypatch.setattr(importing, "CHUNK", chunk)
    if errs:  # every address looks as if it had been met before
        monkeypatch.setattr(contact_rows.Met, "before", lambda *_: True)
    names = "abcadbeeafa"
    report = run(
        tenant,
        write_rows(
            tmp_path / "people.csv",
            *(row(f"{name}@acme.example", company=f"{line}") for line, name in enumerate(names, 2)),
        ),
    )

    assert (report.created, report.refused) == (6, 5)
    assert sorted((found.line, found.reason[-1]) for found in report.refusals) == [
        (5, "2"), (7, "3"), (9, "8"), (10, "2"), (12, "2"),
    ]  # fmt: skip
    taken = dict(Contact.objects.values_list("email", "company"))
    assert taken == {f"{name}@acme.example": str(names.index(name) + 2) for name in names}


def test_a_failure_while_writing_is_raised_and_nothing_stays(tenant, tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "CHUNK", 2)
    monkeypatch.setattr(contact_stage, "NEXT_CHUNK", "SELECT 1 / (4 - count(*)) FROM contact_stage")
    path = write_rows(tmp_path / "people.csv", *(row(f"{name}@acme.example") for name in "abcdefg"), row("bad"))

    with pytest.raises(DatabaseError, match="division by zero"):
        run(tenant, path)

    assert [model.objects.count() for model in (Contact, ContactList, ListEntry)] == [0, 0, 0]
    assert [found.name for found in tmp_path.iterdir()] == ["people.csv"]


def peak(tenant, path) -> int:
    """Bytes of Python's memory that an import takes at most."""
    tracemalloc.start()
    run(tenant, path)
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


def test_memory_does_not_grow_with_the_file(tenant, tmp_path, monkeypatch):
    # What is remembered is bounded; a small bound shows it with a small file.
    monkeypatch.setattr(contact_rows, "REMEMBERED", 100)
    monkeypatch.setattr(contact_rows, "DOMAINS", 100)
    monkeypatch.setattr(importing, "CHUNK", 100)
    run(tenant, write_rows(tmp_path / "first.csv", row("warm@up.example")))
    small = write_rows(tmp_path / "small.csv", *(row(f"a@d{i}.example", source=f"fair {i}") for i in range(500)))
    large = write_rows(tmp_path / "large.csv", *(row(f"b@d{i}.example", source=f"fair {i}") for i in range(5000)))

    assert peak(tenant, large) < peak(tenant, small) + 300_000


@pytest.mark.fault("F30")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("moment", ["COPY pg_temp", "INSERT INTO campaigns_contact"])
def test_a_killed_import_leaves_nothing_and_the_next_one_everything(tenant, tmp_path, process_env, moment):
    size = 100_000 if FULL_SIZE else 20_000
    path = write_rows(tmp_path / "people.csv", *(row(f"p{number}@d{number % 50}.example") for number in range(size)))
    command = [sys.executable, "manage.py", "import_contacts", str(path), "--tenant", tenant.slug, "--list", "All"]
    process = subprocess.Popen(
        command, cwd=settings.BASE_DIR, env=process_env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    with connection.cursor() as cursor:
        while process.poll() is None:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'"
                " AND pid <> pg_backend_pid() AND query LIKE %s",
                [f"%{moment}%"],
            )
            if cursor.fetchone()[0]:
                process.kill()
                break
            time.sleep(0.005)
        assert process.wait(30) == -9
        while True:  # until the server has noticed
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND query LIKE '%%contact_stage%%'"
            )
            if not cursor.fetchone()[0]:
                break
            time.sleep(0.02)

    assert [model.objects.count() for model in (Contact, ContactList, ListEntry)] == [0, 0, 0]
    assert not list(path.parent.glob("*.refused.csv"))
    assert counts(run(tenant, path)) == (size, 0, 0, 0)
    assert ListEntry.objects.count() == size
