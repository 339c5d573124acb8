"""CSV files as people bring them: what is read, what is refused, and with which words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outreach.common import encodings, formulas
from outreach.common.refusals import Refusal
from outreach.common.sources import CELL_CHARS, LINE_CHARS
from outreach.common.tables import Shape, Table
from tests.common.table_files import FREE, SHAPE, peak, read, refusals, refused

# --- What is read ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_comma_semicolon_and_tab_are_recognised(write, delimiter):
    path = write(f"email{delimiter}first_name\na@x.example{delimiter}Ann\n")

    assert read(path) == [(2, ["a@x.example", "Ann"])]


def test_the_delimiter_is_the_one_that_makes_known_columns(write):
    path = write("email;first_name;company\na@x.example;Ann;Smith, Jones and Sons\n")

    assert read(path) == [(2, ["a@x.example", "Ann", "Smith, Jones and Sons"])]


@pytest.mark.attack("A25")
def test_line_ends_may_be_mixed_and_lines_count_as_in_an_editor(write):
    path = write(b"email,first_name\r\na@x.example,A\nb@x.example,B\r\n\r\nc@x.example,C\rd@x.example,D")

    assert [line for line, _ in read(path)] == [2, 3, 5, 6]


def test_a_byte_order_mark_and_untidy_titles_do_no_harm(write):
    path = write("\ufeffEmail, First Name \na@x.example,Ann\n".encode())

    with Table(path, SHAPE) as table:
        assert table.columns == ["email", "first_name"]
        assert table.has_bom


def test_rows_that_hold_nothing_are_passed_over(write):
    path = write("email,first_name\n,\n  , \na@x.example,\n\n")

    assert read(path) == [(4, ["a@x.example", ""])]


def test_free_columns_are_kept_where_the_shape_allows_them(write):
    with Table(write("email,job title,city\na@x.example,Head,Kyiv\n"), FREE) as table:
        assert table.fields == ["job_title", "city"]


def test_rows_can_be_read_again_from_the_top(write):
    with Table(write("email\na@x.example\nb@x.example\n"), SHAPE) as table:
        first = next(table.rows())
        assert [row.line for row in table.rows()] == [2, 3]
    assert first.line == 2


# --- Whole files -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf", b"  \r\n\t"])
def test_an_empty_file_is_named(write, content):
    assert str(refused(write(content))) == "people.csv is empty."


def test_a_file_that_is_not_there_or_no_file_is_named(tmp_path):
    assert str(refused(tmp_path / "none.csv")) == f"There is no file {tmp_path / 'none.csv'}."
    assert "There is no file" in str(refused(tmp_path))


@pytest.mark.attack("A25")
@pytest.mark.parametrize(
    ("encoding", "named"),
    [
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16LE"),
        ("utf-16-be", "UTF-16BE"),
        ("utf-32", "UTF-32"),
        ("cp1251", "Windows-1251"),
        ("koi8-r", "KOI8-R"),
    ],
)
def test_other_encodings_are_detected_and_named_with_the_remedy(write, encoding, named):
    text = "email,first_name,company\na@x.example,Олександр,Рога и копыта\n"

    error = refused(write(text.encode(encoding)))

    assert named in str(error)
    assert f"iconv -f {named.upper()} -t UTF-8" in str(error)
    assert error.details["encoding"] == named


def test_western_text_is_not_taken_for_cyrillic(write):
    text = "email,first_name\na@x.example,Jürgen\nb@x.example,Zoë Müller\n"

    assert "Windows-1252" in str(refused(write(text.encode("cp1252"))))


def test_a_wrong_byte_far_behind_is_named_with_its_line(write):
    good = b"".join(b"person%d@x.example,Ann\r\n" % number for number in range(60_000))
    path = write(b"email,first_name\r\n" + good + "z@x.example,Іван\r\n".encode("cp1251"))

    error = refused(path)

    assert error.details == {"line": 60_002, "encoding": "Windows-1251"}


def test_random_bytes_are_of_no_known_encoding():
    assert encodings.guess(b"\x80\x81\xa0\x90 abc") == ""


def test_an_old_workbook_is_named(write):
    assert "an old Excel workbook" in str(refused(write(b"\xd0\xcf\x11\xe0" + b"\x01" * 50)))


@pytest.mark.attack("A25")
@pytest.mark.parametrize("name", ["people.csv", "people.jsonl", "people.xlsx"])
def test_gigabytes_of_zeros_are_refused_unread(write, name):
    path = write("", name)
    with path.open("r+b") as file:
        file.truncate(5 * 2**30)
    assert str(refused(path)) == f"{name} has 5.0 GiB, the limit is 2. Split it."
    with path.open("r+b") as file:
        file.truncate(2**30)
    assert "holds nothing but zero bytes" in str(refused(path))


def test_a_file_without_header_is_named(write):
    assert "has no header" in str(refused(write("a@x.example,Ann\nb@x.example,Bob\n")))
    assert "has no header" in str(refused(write("\n\na@x.example,Ann\n")))


def test_a_doubled_header_is_named_with_both_places(write):
    error = refused(write("email,first_name,E-mail,First_Name\n"), FREE)

    assert "first_name stands in the header twice, as columns 2 and 4" in str(error)
    assert (error.details["line"], error.details["column"]) == (1, "first_name")


def test_unknown_columns_are_named_with_the_likely_one(write):
    error = refused(write("email,frist_name,colour\n"))

    assert "frist_name is not a column of this import (is first_name meant?)" in str(error)
    assert "colour is not a column of this import" in str(error)


def test_a_missing_column_is_named_with_the_likely_one(write):
    assert "email is missing (is emial meant?)" in str(refused(write("emial,first_name\n"), FREE))


def test_of_several_columns_one_has_to_be_there(write):
    shape = Shape(one_of=("email", "domain"), optional=("reason",))

    assert "email or domain is missing" in str(refused(write("reason\nx\n"), shape))
    assert read(write("domain\nx.example\n"), shape) == [(2, ["x.example"])]


@pytest.mark.parametrize("title", ["=1+1", "a{b", "", "x" * 61, "na\x00me"])
def test_a_column_without_a_usable_name_is_refused(write, title):
    assert "unusable header" in str(refused(write(f"email,{title},first_name\n"), FREE))


def test_too_many_columns_are_refused(write):
    assert "one free column too many" in str(refused(write("email,a,b,c,d\n"), FREE))


@pytest.mark.attack("A25")
def test_a_million_columns_are_refused_without_being_read(write):
    assert "more than 200 columns" in str(refused(write("email," + "c," * 1_000_000 + "\n"), FREE))
    assert "more than 200 columns" in str(refused(write("email" + "c" * LINE_CHARS), FREE))


def test_a_quote_that_is_never_closed_refuses_the_file(write):
    error = refused(write('email,first_name\na@x.example,Ann\nb@x.example,"Bob\nc@x.example,Cy\n'))

    assert "line 3 of people.csv: a quoted cell begins here and is never closed" in str(error)


def test_a_quoted_cell_over_many_lines_ends_at_the_limit(write):
    error = refused(write('email,first_name\na@x.example,"' + "x\n" * CELL_CHARS))

    assert f"has more than {CELL_CHARS:,} characters, the limit" in str(error)
    assert error.details["line"] == 2


# --- Rows --------------------------------------------------------------------------------------------------


def test_a_row_with_too_few_or_too_many_cells_is_refused(write):
    path = write("email,first_name\na@x.example\nb@x.example,B,more\nc@x.example,C\n")

    assert [(found.line, found.reason[:23]) for found in refusals(path)] == [
        (2, "has 1 cells for 2 colum"),
        (3, "has 3 cells for 2 colum"),
    ]


@pytest.mark.attack("A25")
def test_a_cell_of_a_megabyte_is_refused_and_the_next_row_is_read(write):
    path = write(f"email,first_name\na@x.example,{'x' * 2**20}\nb@x.example,Bob\n")

    with Table(path, SHAPE) as table:
        first, second = table.rows()

    assert first.refusals == [Refusal(2, "", f"a cell has more than {CELL_CHARS:,} characters, the limit")]
    assert (second.line, second.cells, list(second.refusals)) == (3, ["b@x.example", "Bob"], [])


def test_a_line_longer_than_the_limit_is_read_past(write):
    path = write(f"email,first_name\na@x.example,{'x' * (LINE_CHARS + 5)},b@x.example,B\nc@x.example,C\n")

    with Table(path, SHAPE) as table:
        first, second = table.rows()

    assert first.refusals == [Refusal(2, "", f"is longer than {LINE_CHARS:,} characters, the limit")]
    assert (second.line, second.cells) == (3, ["c@x.example", "C"])


def test_text_behind_a_closed_quote_is_refused(write):
    path = write('email,first_name\na@x.example,"Ann" Lee\nb@x.example,Bob\n')

    assert [(found.line, found.reason) for found in refusals(path)] == [
        (2, "a cell is not closed where the next one begins")
    ]


@pytest.mark.attack("A01", "A03", "A25")
@pytest.mark.parametrize(
    ("cell", "named"),
    [
        ('"Ann\nBcc: x@y.example"', "a line break in it (U+000A)"),
        ('"Ann\rBcc"', "a line break in it (U+000D)"),
        ('"Ann\r\nBcc"', "a line break in it (U+000D)"),
        ("Ann\u2028Bcc", "a line break in it (U+2028)"),
        ("Ann\u0085Bcc", "a line break in it (U+0085)"),
        ("Ann\x00", "an invisible control character in it (U+0000)"),
        ("\u202eAnn", "an invisible control character in it (U+202E)"),
        ("Ann =?utf-8?q?a=0ABcc=3A_x?=", "an encoded word"),
    ],
)
def test_what_could_forge_a_header_is_refused_in_any_cell(write, cell, named):
    found = refusals(write(f"email,first_name\na@x.example,{cell}\n"))

    assert [(refusal.line, refusal.column) for refusal in found] == [(2, "first_name")]
    assert named in found[0].reason


@pytest.mark.attack("A24")
@pytest.mark.parametrize(
    "cell",
    [
        "=1+1",
        "+SUM(A1)",
        "-2+3+cmd|' /C calc'!A0",
        "@SUM(A1)",
        "\uff1dHYPERLINK(1)",
        "\uff0b1+1",
        "\uff0d1-x",
        "\uff20x",
        " =1+1",
        "\u00a0=1",
        '"""=1+1"',
        "-",
    ],
)
def test_formula_cells_are_refused_with_the_remedy(write, cell):
    found = refusals(write(f"email,first_name\na@x.example,{cell}\n"))

    assert [(refusal.line, refusal.column) for refusal in found] == [(2, "first_name")]
    assert "begins like a formula" in found[0].reason
    assert "put an apostrophe (') first" in found[0].reason


@pytest.mark.parametrize("cell", ["\tx", '"\rx"'])
def test_tab_and_carriage_return_in_front_are_refused(write, cell):
    path = write(f"email;first_name\na@x.example;{cell}\n")

    assert [(found.line, found.column) for found in refusals(path)] == [(2, "first_name")]


@pytest.mark.parametrize("cell", ["+380 (44) 123-45-67", "-12.5", "2-3", "a=b", "s-Hertogenbosch", "O'Neil"])
def test_phones_amounts_and_signs_inside_are_no_formulas(write, cell):
    assert read(write(f"email,first_name\na@x.example,{cell}\n"))[0][1][1] == cell


@pytest.mark.attack("A24")
@pytest.mark.parametrize(("cell", "value"), [("'=1+1", "=1+1"), ("''=1", "'=1"), ("'s-Gravenhage", "'s-Gravenhage")])
def test_a_leading_apostrophe_restores_the_value(write, cell, value):
    assert read(write(f"email,first_name\na@x.example,{cell}\n"))[0][1][1] == value


@pytest.mark.attack("A24")
@given(st.text(alphabet="'\"=+-@\uff1d\t ab1", max_size=8) | st.text(max_size=8))
def test_what_is_escaped_is_no_formula_and_comes_back_as_it_was(cell):
    escaped = formulas.escape(cell)

    assert not formulas.found(escaped)
    assert formulas.restore(escaped) == cell


def test_secrets_are_taken_as_they_stand(write):
    shape = Shape(required=("email", "password"), verbatim=frozenset({"password"}))

    assert read(write("email,password\na@x.example,'=+x \n"), shape) == [(2, ["a@x.example", "'=+x "])]


# --- Memory ------------------------------------------------------------------------------------------------


def test_memory_does_not_grow_with_the_file(write):
    small = write("email,first_name\n" + "a@x.example,Ann\n" * 1000, "small.csv")
    large = write("email,first_name\n" + "a@x.example,Ann\n" * 50_000, "large.csv")

    assert peak(large) < peak(small) + 100_000
