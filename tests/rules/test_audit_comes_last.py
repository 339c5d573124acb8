"""The chain's lock is the last that a service takes: nothing is written to rows after an act is recorded."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
WRITES = {"save", "create", "bulk_create", "update", "bulk_update", "delete", "select_for_update", "take_back", "close",
          "push", "call", "require", "execute"}  # fmt: skip


def lines_of(node: ast.AST, wanted) -> list[int]:
    return [found.lineno for found in ast.walk(node) if isinstance(found, ast.Call) and wanted(found.func)]


def late_writes(source: str) -> list[str]:
    """Functions that record and then, further below, write or lock."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef):
            continue
        recorded = lines_of(node, lambda f: ast.unparse(f) == "audit.record")
        if not recorded:
            continue
        written = lines_of(
            node, lambda f: isinstance(f, ast.Attribute) and f.attr in WRITES and ast.unparse(f) != "actor.require"
        )
        if any(line > max(recorded) for line in written):
            found.append(node.name)
    return found


def test_a_late_write_is_found():
    assert late_writes("def f():\n    audit.record(a)\n    row.save()\n") == ["f"]
    assert late_writes("def f():\n    row.save()\n    audit.record(a)\n    return row\n") == []


def test_every_service_records_last():
    late = {
        f"{path.parts[-3]}.{path.stem}.{name}"
        for path in ROOT.glob("*/services/*.py")
        for name in late_writes(path.read_text())
    }
    assert late == set()
