"""One row of a file of sending domains: judged, without a look at the database."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from mailboxes.services import domains
from outreach.common.errors import BadInput
from outreach.common.refusals import Refusal
from outreach.common.tables import Shape

SHAPE = Shape(
    required=("domain",),
    optional=(
        "dkim_selectors", "hourly_cap", "daily_cap", "tracking_host", "return_path", "registrar", "registered_on",
        "renews_on",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Given:
    """What a row says. A value that is missing stays as it was."""

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)


def judge(line: int, texts: Mapping[str, str]) -> Given | list[Refusal]:
    """The row as values, or everything that is wrong with it."""
    wrong: list[tuple[str, str]] = []
    values: dict[str, Any] = {}
    name = ""
    try:
        name = domains.parse_name(texts["domain"])
    except BadInput as error:
        wrong.append(("domain", str(error) if texts["domain"].strip() else "is empty"))
    for key in domains.CHANGEABLE:
        text = texts.get(key, "").strip()
        if not text:
            continue
        try:
            values |= domains.judge({key: _value(key, text)}, name)
        except BadInput as error:
            wrong.append((key, str(error)))
    return [Refusal(line, *fault) for fault in wrong] or Given(name, values)


def _value(key: str, text: str) -> Any:
    """A cell as the service takes it. Raises BadInput."""
    if key in domains.NUMBERS:
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise BadInput(f"must be a whole number from 0 to {domains.MOST_A_DAY}")
        return int(text)
    if key in domains.DATES:
        try:
            return date.fromisoformat(text)
        except ValueError as error:
            raise BadInput("must be a date, as in 2026-01-31") from error
    return re.split(r"[\s,;]+", text) if key == "dkim_selectors" else text
