"""Workbooks as people bring them, and as somebody builds them who wants to do harm."""

from __future__ import annotations

import tracemalloc
import zipfile

import pytest

from outreach.common.errors import BadInput
from outreach.common.refusals import Refusal, RefusedRows
from outreach.common.tables import Shape, Table
from tests.common import workbook_files as files
from tests.common.table_files import cells_of, read, refusals, refused

SHAPE = Shape(required=("email",), optional=("first_name", "secret", "day"), verbatim=frozenset({"secret"}))
HEADER = ("E-Mail", "First Name")
MAPPED = ("email", "first_name")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "people.xlsx"


def test_rows_have_the_numbers_that_the_program_shows(path):
    files.book(path, MAPPED, ("a@x.example", "Ann"), (), ("b@x.example", None), first=3)

    assert read(path, SHAPE) == [(4, ["a@x.example", "Ann"]), (6, ["b@x.example", ""])]


def test_a_table_may_begin_further_to_the_right(path):
    formula = '<c r="D3"><f>1</f></c>'
    files.book(path, (None, None, *MAPPED), (None, None, "a@x.example", "Ann"), (None, None, "b@x.example", formula))

    with Table(path, SHAPE) as table:
        good, wrong = table.rows()
        assert good.cells == ["a@x.example", "Ann"]
        assert [found.cell for found in table.placed(wrong.refusals)] == ["D3"]


def test_numbers_dates_and_truth_come_as_somebody_would_type_them(path):
    shape = Shape(required=("email",), free=5)
    day, truth = '<c r="D2" s="1"><v>46053</v></c>', '<c r="E2" t="b"><v>1</v></c>'
    files.book(path, ("email", "n", "text", "day", "yes", "part"), ("a@x.example", 587, "0587", day, truth, 1.5))

    assert read(path, shape) == [(2, ["a@x.example", "587", "0587", "2026-01-31", "true", "1.5"])]


def test_shared_strings_are_read(path):
    contents = files.parts(S=files.sheet([("email",), ('<c r="A2" t="s"><v>0</v></c>',)]))
    contents["xl/sharedStrings.xml"] = f"<sst {files.MAIN}><si><r><t>a@x.</t></r><r><t>example</t></r></si></sst>"

    assert read(files.write(path, contents), SHAPE) == [(2, ["a@x.example"])]


def test_the_first_sheet_is_taken_or_the_named_one(path):
    first, second = (files.sheet([("email",), (f"{name}@x.example",)]) for name in "ab")
    files.write(path, files.parts(One=first, Two=second))

    assert read(path, SHAPE) == [(2, ["a@x.example"])]
    with Table(path, SHAPE, sheet="Two") as table:
        assert [row.cells for row in table.rows()] == [["b@x.example"]]
    with pytest.raises(BadInput, match="has no sheet 'Tow' \\(is 'Two' meant\\?\\), but: One, Two"):
        Table(path, SHAPE, sheet="Tow")


def test_a_sheet_of_a_file_that_has_none_is_refused(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("email\na@x.example\n")

    with pytest.raises(BadInput, match="is no workbook"):
        Table(path, SHAPE, sheet="One")


def test_a_refused_cell_is_named_by_row_and_letter(path):
    files.book(path, MAPPED, ("a@x.example", "=1+1"), ("b@x.example", "Bob"))

    with Table(path, SHAPE) as table:
        kept = RefusedRows(table, path.with_name("refused.csv"))
        (found,) = [kept.add(row) for row in table.rows() if row.refusals]
        kept.keep()

    assert str(found[0]).startswith("row 2, column B (first_name): begins like a formula")
    assert found[0].cell == "B2"
    assert cells_of(path.with_name("refused.csv"))[1][:2] == ["a@x.example", "'=1+1"]
    assert str(Refusal(7, "", "x", "7")) == "row 7: x"


@pytest.mark.attack("A24")
def test_formulas_and_errors_are_refused_where_they_stand(path):
    formula = '<c r="B2"><f>HYPERLINK("http://x.example")</f><v>Ann</v></c>'
    files.book(path, MAPPED, ("a@x.example", formula), ("b@x.example", '<c r="B3" t="e"><v>#N/A</v></c>'))

    assert refusals(path, SHAPE) == [
        Refusal(2, "first_name", "is a formula; put its value in its place"),
        Refusal(3, "first_name", "shows an error of the spreadsheet program"),
    ]


def test_a_secret_that_is_a_number_is_refused(path):
    files.book(path, ("email", "secret"), ("a@x.example", 12345678901234567890), ("b@x.example", "007"))

    assert [(found.line, found.column) for found in refusals(path, SHAPE)] == [(2, "secret")]


def test_merged_cells_are_refused_in_the_header_and_below(path):
    rows = (MAPPED, ("a@x.example", "Ann"), ("b@x.example", None))
    assert "merged cells in its header" in str(refused(files.book(path, *rows, merged=("A1:B1",)), SHAPE))

    assert refusals(files.book(path, *rows, merged=("A3:B3",)), SHAPE) == [
        Refusal(3, "", "is merged with other cells; take the merging back")
    ]


def test_text_above_the_header_is_named(path):
    assert "has no header" in str(refused(files.book(path, ("People of the fair",), MAPPED, ("a@x.example",)), SHAPE))


@pytest.mark.attack("A01", "A25")
def test_what_could_forge_a_header_is_refused(path):
    files.book(path, MAPPED, ("a@x.example", "Ann\nBcc: x@y.example"))

    assert [(found.line, found.column) for found in refusals(path, SHAPE)] == [(2, "first_name")]


# --- Harm ------------------------------------------------------------------------------------------------------


def harm(**changes):
    """The parts of a good workbook, some of them replaced."""
    contents = files.parts(People=files.sheet([("email",), ("a@x.example",)]))
    return contents | {name.replace("_", "/", 1) + ".xml": text for name, text in changes.items()}


XXE = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
LAUGHS = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>'


@pytest.mark.attack("A25")
@pytest.mark.parametrize("part", ["workbook", "styles", "worksheets/sheet1", "sharedStrings"])
@pytest.mark.parametrize("start", [XXE, LAUGHS])
def test_a_document_type_is_refused_in_every_part(path, part, start):
    contents = harm()
    part = f"xl/{part}.xml"
    contents[part] = start + contents.get(part, f"<sst {files.MAIN}/>")

    assert "document type" in str(refused(files.write(path, contents), SHAPE))


@pytest.mark.attack("A25")
def test_a_zip_bomb_is_refused_before_it_is_unpacked(path):
    contents = files.parts(People=files.sheet([("email",)]))
    contents["xl/worksheets/sheet1.xml"] = b" " * (257 * 2**20)
    files.write(path, contents)
    assert path.stat().st_size < 2**20

    assert "more than 256 MiB of contents" in str(refused(path, SHAPE))


@pytest.mark.attack("A25")
def test_a_part_that_is_longer_than_it_says_is_refused(path):
    files.write(path, harm())
    data = bytearray(path.read_bytes())
    place = data.rindex(b"xl/worksheets/sheet1.xml") - 46
    data[place + 24 : place + 28] = (100).to_bytes(4, "little")
    path.write_bytes(data)

    assert "no workbook that can be read" in str(refused(path, SHAPE))


@pytest.mark.attack("A25")
def test_far_cells_do_not_make_a_large_rectangle(path):
    far = '<c r="B1048576"><v>1</v></c>'
    rows = files.sheet([("email",), ("a@x.example",)]).replace("</sheetData>", f"<row>{far}</row></sheetData>")
    assert refused(files.write(path, files.parts(P=rows)), SHAPE)
    wide = rows.replace("B1048576", "XFD2")
    assert "more than 200 columns" in str(refused(files.write(path, files.parts(P=wide)), SHAPE))


@pytest.mark.attack("A25")
def test_a_long_text_used_often_is_counted_as_often(path):
    rows = [("email",), *(('<c t="s"><v>0</v></c>',) for _ in range(5_000))]
    contents = files.parts(P=files.sheet(rows))
    contents["xl/sharedStrings.xml"] = f"<sst {files.MAIN}><si><t>{'x' * 100_000}</t></si></sst>"
    files.write(path, contents)

    tracemalloc.start()
    error = refused(path, SHAPE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert "too much text" in str(error)
    assert peak < 20 * 2**20


@pytest.mark.attack("A25")
def test_links_to_other_files_are_not_followed(path):
    contents = harm()
    relations = contents["xl/_rels/workbook.xml.rels"]
    contents["xl/_rels/workbook.xml.rels"] = relations.replace("Target=", 'TargetMode="External" Target=')

    assert "has no sheet with cells" in str(refused(files.write(path, contents), SHAPE))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"PK\x03\x04" + b"\x00" * 50, "was cut off"),
        (b"PK\x03\x04" + b"x" * 50 + b"PK\x05\x06" + b"\x00" * 18, "no Excel workbook"),
        (b"PK\x03\x04PK\x05\x06" + b"\xff" * 18, "was cut off"),
    ],
)
def test_what_is_no_workbook_is_named(path, data, words):
    path.write_bytes(data)

    assert words in str(refused(path, SHAPE))


def test_another_zip_file_is_named(path):
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("word/document.xml", "<x/>")

    assert "no Excel workbook" in str(refused(path, SHAPE))
