"""What we say in other words for unfold is still what unfold says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import unfold

ROOT = Path(__file__).resolve().parent.parent.parent
TEMPLATES = Path(unfold.__file__).parent / "templates"


def test_each_expression_that_is_said_anew_stands_in_the_look():
    source = (ROOT / "static/console/alpine.js").read_text()
    table = source[source.index("new Map([") : source.index("]);\n  Alpine.mapAttributes")]
    texts = [json.loads(text) for text in re.findall(r'"(?:[^"\\]|\\.)*"', table)]
    all_of_it = "\n".join(path.read_text() for path in TEMPLATES.rglob("*.html"))

    assert len(texts) == 8
    for old in texts[::2]:
        assert old in all_of_it, old


def test_the_copy_of_the_skeleton_differs_only_where_it_has_to():
    theirs = (TEMPLATES / "unfold/layouts/skeleton.html").read_text().splitlines()
    ours = set((ROOT / "templates/unfold/layouts/skeleton.html").read_text().splitlines())

    missing = [line.strip() for line in theirs if line not in ours and line.strip()]

    assert len(missing) <= 27, missing
    assert not [line for line in missing if "block" in line or "capture" in line]
