"""Where the rows behind a number are, for layers that know no pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Link:
    """A list of the console, `app_model`, narrowed by lookups; with `pk` a page of one row, by default its own."""

    model: str
    lookups: Mapping[str, Any] = field(default_factory=dict)
    pk: int | None = None
    page: str = "change"
