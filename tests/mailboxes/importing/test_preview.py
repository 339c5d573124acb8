"""What an import would do, and columns by other names."""

from __future__ import annotations

import io
import json
import tracemalloc

import pytest
from django.core.management import CommandError, call_command

from mailboxes.models import Import, Mailbox
from outreach.common.errors import BadInput
from tests import factories
from tests.mailboxes.importing.files import CANARY, COLUMNS, row, run

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]


@pytest.fixture
def changes(tenant, write):
    """A file with a row of each kind."""
    run(tenant, write(row(), row("bob@sender.example")))
    return write(
        row(pool="south", daily_cap="20", smtp_password="new-secret"),
        row("bad"),
        row("bob@sender.example"),
        row("cy@sender.example"),
    )


EXPECTED = [
    (2, "changed", "ann@sender.example"),
    (3, "refused", "bad"),
    (4, "unchanged", "bob@sender.example"),
    (5, "new", "cy@sender.example"),
]


def test_a_dry_run_tells_of_each_row_and_of_no_secret(tenant, changes):
    report = run(tenant, changes, dry_run=True)

    lines = list(report.preview.lines())
    rows = [json.loads(line) for line in lines]
    assert [(found["line"], found["verdict"], found["subject"]) for found in rows] == EXPECTED
    assert rows[0]["changes"] == {
        "pool": ["north", "south"],
        "daily_cap": [50, 20],
        "smtp_password": ["stored", "another one"],
    }
    assert rows[1]["reasons"][0].startswith("line 3, address: ")
    assert CANARY not in "".join(lines)
    assert "new-secret" not in "".join(lines)


def test_the_command_shows_twenty_rows_and_keeps_all(tenant, write, tmp_path):
    path = write(*(row(f"box{number}@sender.example") for number in range(25)))
    output, kept = io.StringIO(), tmp_path / "preview.jsonl"

    call_command("import_mailboxes", str(path), "--dry-run", "--preview", str(kept), tenant=tenant.slug, stdout=output)

    assert output.getvalue().count("new box") == 20
    assert len(kept.read_text().splitlines()) == 25
    assert kept.stat().st_mode & 0o777 == 0o600


def test_the_object_has_all_rows(tenant, changes):
    output = io.StringIO()

    with pytest.raises(CommandError, match="1 row was refused"):
        call_command("import_mailboxes", str(changes), "--dry-run", "--json", tenant=tenant.slug, stdout=output)

    result = json.loads(output.getvalue())
    assert (result["created"], result["updated"], result["unchanged"], result["refused"]) == (1, 1, 1, 1)
    assert [(found["line"], found["verdict"], found["subject"]) for found in result["rows"]] == EXPECTED


# --- Columns by other names --------------------------------------------------------------------------------------

OTHERS = COLUMNS.replace("address", "E-Mail").replace("daily_cap", "Per day")
MAP = {"E-Mail": "address", "Per day": "daily_cap"}


def test_a_mapping_is_kept_for_the_next_import_of_that_source(tenant, write):
    path = write(row(), columns=OTHERS)
    assert run(tenant, path, source="crm", mapping=MAP).created == 1
    assert Import.objects.get().columns == MAP

    assert run(tenant, path, source="crm").unchanged == 1
    with pytest.raises(BadInput, match="e_mail is not a column"):
        run(tenant, path, source="another")
    with pytest.raises(BadInput, match="e_mail is not a column"):
        run(factories.tenant(), path, source="crm")


def test_the_command_takes_a_mapping_and_leaves_columns_out(tenant, write):
    path = write(f"{row()},note", columns=f"{OTHERS},Notes")
    mapping = ["--map", "E-Mail=address", "--map", "Per day=daily_cap", "--map", "Notes="]

    call_command("import_mailboxes", str(path), *mapping, tenant=tenant.slug)

    assert Mailbox.objects.get().daily_cap == 50


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"E-Mial": "address"}, "E-Mail"),
        ({"E-Mail": "adress"}, "is meant|is address meant"),
    ],
)
def test_a_mapping_that_leads_nowhere_names_the_likely_one(tenant, write, mapping, words):
    with pytest.raises(BadInput, match=words):
        run(tenant, write(row(), columns=COLUMNS.replace("address", "E-Mail")), mapping=mapping)

    assert not Mailbox.objects.exists()


# --- Size --------------------------------------------------------------------------------------------------------


def test_memory_does_not_grow_with_a_file_of_refused_rows(tenant, write):
    def peak(count: int) -> int:
        path = write(*["no address,,,,,,,,,,"] * count)
        tracemalloc.start()
        assert run(tenant, path, dry_run=True).refused == count
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(4000)  # more than one chunk
    assert peak(8000) < peak(4000) + 200_000
