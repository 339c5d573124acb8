"""Refused rows come back as a file that can be corrected and imported again."""

from __future__ import annotations

from pathlib import Path

import pytest

from outreach.common.errors import BadInput
from outreach.common.refusals import Refusal, RefusedRows, Report
from outreach.common.tables import Shape, Table
from tests.common.table_files import FREE, SHAPE, cells_of


def refuse_all(path: Path, shape: Shape) -> Path:
    with Table(path, shape) as table:
        kept = RefusedRows(table, Path(f"{path}.refused.csv"))
        for row in table.rows():
            kept.add(row._replace(refusals=row.refusals or [Refusal(row.line, "email", "is wrong")]))
        found = kept.keep()
    assert found is not None
    return found


@pytest.mark.attack("A24")
def test_refused_rows_keep_their_columns_and_say_why_and_run_nowhere(write):
    path = write("E-mail,Email,First Name,Phone\n1,a@x.example,=1+1,+38044\n2,b@x.example,Bob\n")

    found = refuse_all(path, Shape(required=("email",), optional=("first_name",), free=2))

    assert cells_of(found) == [
        ["E-mail", "Email", "First Name", "Phone", "reason"],
        ["1", "a@x.example", "'=1+1", "'+38044", cells_of(found)[1][4]],
        ["2", "b@x.example", "Bob", "", cells_of(found)[2][4]],
    ]
    assert cells_of(found)[1][4].startswith("line 2, first_name: begins like a formula")
    assert cells_of(found)[2][4].startswith("line 3: has 3 cells for 4 columns")
    assert found.stat().st_mode & 0o777 == 0o600


def test_the_reason_is_ignored_when_the_corrected_file_comes_back(write):
    found = refuse_all(write("email;first_name\n=1;'=2\n"), SHAPE)
    again = refuse_all(found, SHAPE)

    assert cells_of(again, delimiter=";")[0] == ["email", "first_name", "reason"]
    with Table(found, FREE) as table:
        assert table.fields == []
        assert [row.cells[:2] for row in table.rows()] == [["=1", "=2"]]


def test_a_file_with_a_reason_of_its_own_gets_another_title(write):
    shape = Shape(one_of=("email",), optional=("reason",))
    found = refuse_all(write("email,reason\na@x.example,manual\n"), shape)

    assert cells_of(found)[0] == ["email", "reason", "refused_reason"]
    with Table(found, shape) as table:
        assert table.fields == []
        assert table.columns[1] == "reason"


def test_a_secret_that_a_spreadsheet_would_run_is_left_out_and_named(write):
    shape = Shape(required=("email", "password"), verbatim=frozenset({"password"}))
    found = refuse_all(write("email,password\na@x.example,=x\nb@x.example,plain\n"), shape)

    assert [row[1] for row in cells_of(found)[1:]] == ["", "plain"]
    assert "password was left out here, enter it again" in cells_of(found)[1][2]


def test_nothing_is_left_behind_unless_it_is_kept(write, tmp_path):
    path = write("email\na@x.example\n")
    with Table(path, SHAPE) as table:
        refused_rows = RefusedRows(table, tmp_path / "refused.csv")
        assert refused_rows.keep() is None
        refused_rows.add(next(table.rows()))
        refused_rows.discard()

    assert [found.name for found in tmp_path.iterdir()] == ["people.csv"]


def test_a_folder_that_cant_be_written_is_named(write):
    with Table(write("email\na@x.example\n"), SHAPE) as table:
        refused_rows = RefusedRows(table, Path("/nowhere/refused.csv"))
        with pytest.raises(BadInput, match="Name another file with --refused"):
            refused_rows.add(next(table.rows()))


def test_a_report_counts_all_refusals_and_keeps_the_first():
    report = Report()
    for line in range(Report.KEPT + 5):
        report.refuse([Refusal(line, "email", "is wrong")])

    assert (report.refused, len(report.refusals)) == (Report.KEPT + 5, Report.KEPT)
