"""JSON lines as programs write them: what is read, what is refused."""

from __future__ import annotations

import pytest

from outreach.common.refusals import Refusal
from outreach.common.tables import Shape, Table
from tests.common.table_files import peak, read, refusals, refused

SHAPE = Shape(required=("email",), optional=("first_name", "secret"), verbatim=frozenset({"secret"}))


@pytest.fixture
def write(tmp_path):
    def write(*lines: str):
        path = tmp_path / "people.jsonl"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


def test_keys_are_columns_wherever_they_first_stand(write):
    path = write('{"email": "a@x.example"}', "", '{"First-Name": "Zoë", "email": "b@x.example"}')

    assert read(path, SHAPE) == [(1, ["a@x.example", ""]), (3, ["b@x.example", "Zoë"])]


def test_values_come_as_somebody_would_type_them(write):
    shape = Shape(required=("email",), free=4)
    path = write('{"email": "a@x.example", "n": 587, "whole": 50.0, "yes": true, "none": null}')

    assert read(path, shape) == [(1, ["a@x.example", "587", "50", "true", ""])]


@pytest.mark.attack("A25")
@pytest.mark.parametrize(
    ("line", "column", "words"),
    [
        ('{"email": "a@x.example", "first_name": {"a": 1}}', "first_name", "an object or a list"),
        ('{"email": ["a@x.example"]}', "email", "an object or a list"),
        ('{"email": ' + "[" * 100_000 + "]" * 100_000 + "}", "", "nested too deeply"),
        ('{"email": "a", "email": "b"}', "", "a key stands there twice"),
        ('{"email": NaN}', "", "NaN is not JSON"),
        ('{"email": 1' + "0" * 5000 + "}", "", "is no JSON that can be taken"),
        ('["a@x.example"]', "", "is no JSON object"),
        ('{"email": "a@x.example"', "", "is no JSON"),
        ('{"email": "a@x.example", "first_name": "Ann\\nBcc: x@y.example"}', "first_name", "line break"),
        ('{"email": "a@x.example", "first_name": "=1+1"}', "first_name", "begins like a formula"),
        ('{"email": "a@x.example", "secret": 123}', "secret", "make it text"),
        ('{"email": "' + "x" * 140_000 + '"}', "email", "the limit"),
        ('{"email": "' + "x" * 5_000_000 + '"}', "", "the limit"),
    ],
)
def test_a_wrong_line_is_named_and_the_next_one_is_read(write, line, column, words):
    path = write('{"email": "z@x.example"}', line, '{"email": "b@x.example"}')

    (found,) = refusals(path, SHAPE)
    assert (found.line, found.column) == (2, column)
    assert words in found.reason
    with Table(path, SHAPE) as table:
        assert [row.line for row in table.rows() if not row.refusals] == [1, 3]


def test_unknown_keys_refuse_the_file(write):
    error = refused(write('{"email": "a@x.example"}', '{"email": "b@x.example", "frist_name": "B"}'), SHAPE)

    assert "frist_name is not a column of this import (is first_name meant?)" in str(error)


@pytest.mark.attack("A25")
def test_too_many_keys_refuse_the_file(write):
    keys = ", ".join(f'"k{number}": 1' for number in range(201))

    assert "more than 200 columns" in str(refused(write(f"{{{keys}}}"), SHAPE))


def test_a_list_is_named(write):
    assert "is a JSON list" in str(refused(write('[{"email": "a@x.example"}]'), SHAPE))


def test_an_encoding_is_named(write):
    path = write('{"email": "a@x.example"}')
    path.write_bytes('{"email": "a@x.example"}'.encode("utf-16"))

    assert "looks like UTF-16" in str(refused(path, SHAPE))


def test_memory_does_not_grow_with_the_file(write):
    line = '{"email": "a@x.example", "first_name": "Ann"}'
    small, large = peak(write(*[line] * 1000)), peak(write(*[line] * 30_000))

    assert large < small + 100_000


def test_a_refusal_is_placed_by_its_line():
    assert str(Refusal(7, "daily_cap", "x")) == "line 7, daily_cap: x"
