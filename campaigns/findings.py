"""What was found out about a campaign before it starts: values only, so that every layer may add some."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from outreach.common.links import Link

SHARES = (0.01, 0.05, 0.1, 0.25, 0.5)  # a share that passes one of these has become another matter


class Level(StrEnum):
    """An error blocks, a warning wants a person's tick, a note only tells."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


ORDER = tuple(Level)


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence about one thing.

    code: stable and once in a report, for machines and for ticks; where there are several of a kind it ends with what
    it is about, as in missing_field:company. count: how many rows it speaks of, `total` of how many. `rows` opens them.
    """

    code: str
    level: Level
    sentence: str
    remedy: str = ""
    count: int | None = None
    total: int | None = None
    rows: Link | None = None
    check: str = ""

    @property
    def share(self) -> float | None:
        return self.count / self.total if self.count is not None and self.total else None

    @property
    def grade(self) -> int:
        """How bad it is, coarsely: a tick holds as long as this does not rise."""
        if self.share is not None:
            return sum(self.share > each for each in SHARES)
        return len(str(self.count)) if self.count else 0

    def as_dict(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "level": str(self.level),
            "sentence": str(self.sentence),
            "remedy": str(self.remedy),
            "count": self.count,
            "total": self.total,
        }


@dataclass(slots=True)
class Report:
    """All findings, and how many seconds each check took. `at` is when they were looked for."""

    at: datetime
    findings: list[Finding] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def of(self, level: Level) -> list[Finding]:
        return [finding for finding in self.findings if finding.level == level]

    @property
    def errors(self) -> list[Finding]:
        return self.of(Level.ERROR)

    @property
    def warnings(self) -> list[Finding]:
        return self.of(Level.WARNING)

    @property
    def notes(self) -> list[Finding]:
        return self.of(Level.NOTE)

    def unticked(self, accepted: Iterable[Mapping[str, Any]], codes: Collection[str] = ()) -> list[Finding]:
        """Warnings that nobody has accepted, or that have become worse since; those in `codes` are accepted now."""
        grades = {each["code"]: each["grade"] for each in accepted}
        return [
            finding
            for finding in self.warnings
            if finding.code not in codes and finding.grade > grades.get(finding.code, -1)
        ]

    def sort(self) -> None:
        """Errors first; within a level as the checks found them."""
        self.findings.sort(key=lambda finding: ORDER.index(finding.level))

    def as_dict(self, accepted: Iterable[Mapping[str, Any]] = ()) -> dict[str, Any]:
        """For JSON; each warning says whether it is accepted."""
        unticked = {finding.code for finding in self.unticked(accepted)}
        return {
            "at": self.at.isoformat(),
            "ready": not self.errors and not unticked,
            **{
                f"{level}s": [
                    finding.as_dict() | ({"accepted": finding.code not in unticked} if level == Level.WARNING else {})
                    for finding in self.of(level)
                ]
                for level in Level
            },
            "seconds": {name: round(seconds, 4) for name, seconds in self.seconds.items()},
        }
