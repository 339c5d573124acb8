"""Everything that is looked at before a campaign starts: one list of checks, each a function that yields findings.

Counts are set-based: one pass over the list for all checks that ask about its people. Nothing here talks to the
network; what `probing` found out there is read from the campaign's row.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from campaigns.findings import Finding, Report
from campaigns.models import Campaign
from campaigns.pipeline.preflight import audience, canaries, capacity, fleet, links, notices, state, wording
from campaigns.pipeline.preflight.ground import Ground

Check = Callable[[Ground], Iterator[Finding]]

CHECKS: tuple[tuple[str, Check], ...] = (
    ("tenant", state.tenant),
    ("pool", fleet.pool),
    ("domains", fleet.domains),
    ("bases", fleet.bases),
    ("list", state.contact_list),
    ("validity", audience.validity),
    ("suppression", audience.suppressed),
    ("countries", audience.countries),
    ("steps", wording.steps),
    ("fields", wording.fields),
    ("notices", notices.source_and_privacy),
    ("balancing", notices.balancing_test),
    ("links", links.written),
    ("tracking", links.tracking),
    ("probes", links.answered),
    ("complaints", state.complaints),
    ("canary", canaries.announced),
    ("capacity", capacity.finishing),
)


def look(campaign: Campaign, report: Report) -> None:
    """Add what the checks find to the report, and how long each took."""
    ground = Ground(campaign, report.at)
    for name, check in CHECKS:
        began = time.monotonic()
        report.findings += [replace(finding, check=name) for finding in check(ground)]
        report.seconds[name] = time.monotonic() - began
