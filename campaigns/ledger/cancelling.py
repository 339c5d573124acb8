"""Mail that its holder found not to be sendable to its person: the row is closed, its reservation returned."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from campaigns.ledger import moves
from campaigns.ledger.outcome import Outcome

TRIED = """
INSERT INTO campaigns_attempt
    (tenant_id, message_ref, mailbox_ref, at, phase, enhanced, text, result, duration_ms)
SELECT m.tenant_id, m.id, m.mailbox_id, now(), told.phase, '', told.text, 'cancelled', told.duration
FROM json_to_recordset(%(told)s::json) AS told (id bigint, phase text, text text, duration integer)
JOIN campaigns_message m ON m.id = told.id
WHERE m.status = 'claimed'"""


def cancel(cursor: Any, outcomes: Sequence[Outcome]) -> None:
    """Close rows that the caller's group has locked, with their enrolments; the attempt says what was in the way."""
    told = [
        {"id": each.id, "phase": each.phase, "text": each.text.replace("\0", "")[:1000], "duration": each.duration_ms}
        for each in outcomes
    ]
    cursor.execute(TRIED, {"told": json.dumps(told)})
    for reason, group in groupby(sorted(outcomes, key=lambda each: (each.reason, each.id)), lambda each: each.reason):
        ids = [each.id for each in group]
        moves.close("m.id = ANY (%(ids)s)", {"ids": ids}, status="cancelled", reason=reason)
