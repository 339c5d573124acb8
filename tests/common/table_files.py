"""What a table of people says when it is read."""

from __future__ import annotations

import csv
import tracemalloc
from pathlib import Path

import pytest

from outreach.common.errors import BadInput
from outreach.common.refusals import Refusal
from outreach.common.tables import Shape, Table

SHAPE = Shape(required=("email",), optional=("first_name", "company"))
FREE = Shape(required=("email",), optional=("first_name",), free=3)


def read(path: Path, shape: Shape = SHAPE) -> list[tuple[int, list[str]]]:
    """Lines and cells of a file in which nothing is refused."""
    with Table(path, shape) as table:
        rows = list(table.rows())
    assert [refusal for row in rows for refusal in row.refusals] == []
    return [(row.line, row.cells) for row in rows]


def refusals(path: Path, shape: Shape = SHAPE) -> list[Refusal]:
    with Table(path, shape) as table:
        return [refusal for row in table.rows() for refusal in row.refusals]


def refused(path: Path, shape: Shape = SHAPE) -> BadInput:
    """The refusal of a whole file."""
    with pytest.raises(BadInput) as caught, Table(path, shape) as table:
        list(table.rows())
    return caught.value


def cells_of(path: Path, **options) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8-sig") as source:
        return list(csv.reader(source, **options))


def peak(path: Path) -> int:
    """Bytes that reading takes at most."""
    tracemalloc.start()
    with Table(path, SHAPE) as table:
        for _ in table.rows():
            pass
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found
