"""Tags and signatures in a file: read, kept, previewed, taken back, and odd ones refused by cell."""

from __future__ import annotations

import json

import pytest

from mailboxes.models import Import, Mailbox
from mailboxes.services import imports, ramp
from outreach.common.errors import InvalidMove
from tenants.services.actors import SYSTEM
from tests.mailboxes.importing.files import COLUMNS, reasons, row, run

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]
LABELLED = f"{COLUMNS},tags,signature"


def labelled(address="ann@sender.example", tags="Warm; eu", signature='"Ann Lee\nSales"', **changes) -> str:
    return f'{row(address, **changes)},"{tags}",{signature}'


def kept(address="ann@sender.example"):
    box = Mailbox.objects.get(address_key=address)
    return box.tags, box.signature


def test_a_file_brings_tags_and_a_signature_of_several_lines(tenant, write):
    report = run(tenant, write(labelled(), labelled("bob@sender.example", tags="", signature=""), columns=LABELLED))

    assert (report.created, report.refusals) == (2, [])
    assert kept() == (["eu", "warm"], "Ann Lee\nSales")
    assert kept("bob@sender.example") == ([], "")


def test_a_file_without_the_columns_leaves_them_and_an_empty_cell_clears(tenant, write):
    run(tenant, write(labelled(), columns=LABELLED))
    assert run(tenant, write(row())).unchanged == 1
    assert kept() == (["eu", "warm"], "Ann Lee\nSales")

    assert run(tenant, write(labelled(tags="", signature=""), columns=LABELLED)).updated == 1
    assert kept() == ([], "")


def test_rolling_back_brings_them_back(tenant, write):
    run(tenant, write(labelled(), columns=LABELLED))
    report = run(tenant, write(labelled(tags="other", signature="X"), columns=LABELLED))
    assert kept() == (["other"], "X")

    imports.roll_back(Import.objects.get(pk=report.import_id), actor=SYSTEM)

    assert kept() == (["eu", "warm"], "Ann Lee\nSales")


def test_a_row_with_labels_and_a_ramp_gets_both_and_loses_both(tenant, write):
    run(tenant, write(labelled(), columns=LABELLED))
    path = write(labelled(tags="other", signature="X") + ",slow", columns=f"{LABELLED},ramp")
    ramp.add_plan(tenant, "slow", actor=SYSTEM)
    (line,) = run(tenant, path, dry_run=True).preview.lines()
    assert json.loads(line)["changes"] == {
        "tags": [["eu", "warm"], ["other"]], "signature": ["Ann Lee\nSales", "X"], "ramp": [None, "slow"],
    }  # fmt: skip
    report = run(tenant, path)
    assert (*kept(), Mailbox.objects.get().ramp.name) == (["other"], "X", "slow")

    imports.roll_back(Import.objects.get(pk=report.import_id), actor=SYSTEM)

    assert (*kept(), Mailbox.objects.get().ramp) == (["eu", "warm"], "Ann Lee\nSales", None)


def test_a_signature_that_was_changed_since_stops_the_way_back(tenant, write):
    run(tenant, write(labelled(), columns=LABELLED))
    report = run(tenant, write(labelled(tags="other", signature="X"), columns=LABELLED))
    Mailbox.objects.update(signature="Y")

    with pytest.raises(InvalidMove, match="signature"):
        imports.roll_back(Import.objects.get(pk=report.import_id), actor=SYSTEM)

    assert kept() == (["other"], "Y")


def test_an_import_of_before_there_were_tags_can_still_be_rolled_back(tenant, write):
    run(tenant, write(row()))
    report = run(tenant, write(row(daily_cap="20")))
    done = Import.objects.get(pk=report.import_id)
    for one in done.rows.all():
        for image in (one.before, one.after):
            del image["tags"], image["signature"]
        one.save()

    imports.roll_back(done, actor=SYSTEM)

    assert Mailbox.objects.get().daily_cap == 50


def test_the_preview_names_them(tenant, write):
    run(tenant, write(labelled(), columns=LABELLED))

    report = run(tenant, write(labelled(tags="eu"), columns=LABELLED), dry_run=True)

    (line,) = report.preview.lines()
    assert json.loads(line)["changes"] == {"tags": [["eu", "warm"], ["eu"]]}


@pytest.mark.attack("A01", "A24", "A44")
@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ("tags", {"tags": "=1+1"}), ("tags", {"tags": "<script>"}), ("tags", {"tags": "x" * 41}),
        ("tags", {"tags": ";".join(f"t{n}" for n in range(21))}), ("tags", {"tags": "a\x07"}),
        ("tags", {"tags": "a\nb"}), ("signature", {"signature": "=HYPERLINK(1)"}),
        ("signature", {"signature": '"Ann\u202e"'}), ("signature", {"signature": '"=?utf-8?q?a?="'}),
        ("signature", {"signature": "x" * 2001}), ("display_name", {"display_name": "Ann\nBcc: x@y.example"}),
    ],
)  # fmt: skip
def test_odd_cells_are_refused_at_their_column(tenant, write, column, cells):
    report = run(tenant, write(labelled(**cells), columns=LABELLED))

    assert reasons(report) == [(2, column)]
    assert not Mailbox.objects.exists()
