"""One row of the table: two sides of one run, and whether the target was met."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Row:
    """`target` bounds the ratio ours / against, or ours itself where `absolute`; `at_least` says from which side.

    The lists hold one figure per round; what is shown is their medians.
    """

    name: str
    unit: str
    ours: Sequence[float]
    against: Sequence[float]
    target: float
    at_least: bool
    beyond: float | None = None
    absolute: bool = False
    cpu_us: Sequence[float] = ()
    peak_mib: Sequence[float] = ()
    loads: Sequence[float] = ()
    note: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """The median of the rounds' own ratios: what disturbs the machine for a while disturbs both sides."""
        if not self.against:
            return None
        return statistics.median(a / b for a, b in zip(self.ours, self.against, strict=True))

    @property
    def met(self) -> bool:
        measured = statistics.median(self.ours) if self.absolute or self.ratio is None else self.ratio
        return measured >= self.target if self.at_least else measured <= self.target

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "unit": self.unit,
            "ours": middle(self.ours),
            "against": middle(self.against),
            "ratio": None if self.ratio is None else round(self.ratio, 4),
            "target": self.target,
            "target_is": f"{'ours' if self.absolute else 'ratio'} {'>=' if self.at_least else '<='}",
            "met": self.met,
            "beyond": self.beyond,
            "cpu_us_per_message": middle(self.cpu_us),
            "peak_mib": middle(self.peak_mib),
            "load_average": middle(self.loads),
            "rounds": {"ours": list(self.ours), "against": list(self.against)},
            "note": self.note,
            **self.details,
        }


def middle(figures: Sequence[float]) -> float | None:
    return round(statistics.median(figures), 4) if figures else None


def load() -> float:
    """The load average of the last minute: what else this machine was doing."""
    return round(os.getloadavg()[0], 2)


def shown(figure: float | None) -> str:
    if figure is None:
        return "-"
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"


def table(rows: Sequence[Row]) -> str:
    """The rows as text, one line each, and the notes below."""
    head = ("figure", "ours", "against", "unit", "ratio", "target", "", "CPU us/msg", "peak MiB", "load")
    lines = [head]
    for row in rows:
        sign = ">=" if row.at_least else "<="
        target = f"{sign} {row.target:g}{' ' + row.unit if row.absolute else ' x'}"
        figures = (middle(row.ours), middle(row.against))
        extra = (middle(row.cpu_us), middle(row.peak_mib), middle(row.loads))
        ratio = "-" if row.ratio is None else f"{row.ratio:.3g}"
        verdict = "met" if row.met else "MISSED"
        lines.append((row.name, *map(shown, figures), row.unit, ratio, target, verdict, *map(shown, extra)))
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([text[0], "-" * len(text[0]), *text[1:], *(f"{row.name}: {row.note}" for row in rows if row.note)])
