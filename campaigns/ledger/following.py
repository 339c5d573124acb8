"""What follows the steps that went out: read once for a whole set, computed without the database, written by set."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import time as clock_time
from functools import lru_cache
from typing import Any

from campaigns import calendars, sequences

# Each step with the one after it, in its latest version; a campaign of one step has no row here.
FOLLOW_UPS = """
SELECT st.id, st.position, n.position, n.delay_hours, n.delay_days, c.window_from, c.window_days
FROM campaigns_step st
JOIN campaigns_campaign c ON c.id = st.campaign_id
CROSS JOIN LATERAL (
    SELECT position, delay_hours, delay_days FROM campaigns_step
    WHERE campaign_id = st.campaign_id AND position > st.position ORDER BY position, version DESC LIMIT 1
) AS n
WHERE st.id = ANY (%s)"""

ZONES = """
SELECT m.id, e.zone FROM campaigns_message m JOIN campaigns_enrolment e ON e.id = m.enrolment_id
WHERE m.id = ANY (%s)"""

# Told of messages after which something follows: their enrolments go on to the next step, if they still stand at this
# one. `told` has enrolment, position (of what was sent), step and due (of what follows).
GO_ON = """
UPDATE campaigns_enrolment e
SET status = CASE WHEN told.step IS NULL THEN 'done' ELSE 'active' END, step = coalesce(told.step, e.step),
    due_at = CASE WHEN told.step IS NOT NULL THEN greatest(told.due, e.away_until) END,
    waits_for = CASE WHEN told.step IS NOT NULL AND e.away_until > told.due THEN 'out_of_office' ELSE '' END
FROM told
WHERE e.id = told.enrolment AND e.status = 'active' AND e.step = coalesce(told.position, e.step)"""

PICK = """
SELECT m.id, m.enrolment_id, m.step_id, st.position
FROM campaigns_message m JOIN campaigns_step st ON st.id = m.step_id WHERE m.id = ANY (%s)"""

ADVANCE = f"""
WITH told AS (
    SELECT * FROM json_to_recordset(%(told)s::json)
        AS told (enrolment bigint, position integer, step integer, due timestamptz)
), held AS (
    SELECT id FROM campaigns_enrolment WHERE id IN (SELECT enrolment FROM told) ORDER BY id FOR UPDATE
)
{GO_ON} AND e.due_at IS NULL AND e.id IN (SELECT id FROM held)"""


@dataclass(frozen=True, slots=True)
class FollowUp:
    """The step that comes after the one at `after`, and how long it waits."""

    after: int
    position: int
    hours: int
    days: int
    opens: clock_time
    weekdays: frozenset[int]

    def due_at(self, sent_at: datetime, place: str) -> datetime:
        """When it may go to somebody at that place: a zone, and perhaps a country's holidays."""
        return _due_at(sent_at.replace(microsecond=0), self, place)


@lru_cache(maxsize=4096)
def _due_at(sent_at: datetime, follow_up: FollowUp, place: str) -> datetime:
    at = calendars.parse(place)
    calendar = sequences.Calendar(at.zone, follow_up.opens, follow_up.weekdays, at.calendar)
    return sequences.due_at(sent_at, follow_up.hours, follow_up.days, calendar)


@dataclass(frozen=True, slots=True)
class Following:
    """What comes after one message: the step, and the zone in which its delay is counted."""

    follow_up: FollowUp
    zone: str

    def told(self, sent_at: datetime) -> dict[str, Any]:
        """As GO_ON wants to be told."""
        return {
            "position": self.follow_up.after,
            "step": self.follow_up.position,
            "due": self.follow_up.due_at(sent_at, self.zone).isoformat(),
        }


@dataclass(frozen=True, slots=True)
class Course:
    """What follows each message of a job. `now` is the database's time at the monotonic instant `clock`."""

    following: Mapping[int, Following]
    now: datetime
    clock: float

    def told(self, message_id: int) -> dict[str, Any]:
        """As GO_ON wants to be told of a message that was sent this moment; nothing of a last step."""
        one = self.following.get(message_id)
        return one.told(self.now + timedelta(seconds=time.monotonic() - self.clock)) if one else {}


LAST_STEPS = Course({}, datetime.fromtimestamp(0, UTC), 0.0)


def load(cursor: Any, steps: Mapping[int, int]) -> dict[int, Following]:
    """{message id: what follows} of {message id: step id}; those of last steps stay out, and cost one look a step."""
    cursor.execute(FOLLOW_UPS, [list(set(steps.values()))])
    found = {row[0]: FollowUp(row[1], row[2], row[3], row[4], row[5], frozenset(row[6])) for row in cursor.fetchall()}
    messages = [pk for pk, step_id in steps.items() if step_id in found]
    if not messages:
        return {}
    cursor.execute(ZONES, [messages])
    return {pk: Following(found[steps[pk]], zone) for pk, zone in cursor.fetchall()}


def advance(cursor: Any, sent: Mapping[int, datetime], *, not_before: datetime) -> None:
    """Let those go on whose mail went out at these times ({message id: time}), or end them after the last step.

    As after a 250, for mail of which that became known later: what follows is due from the time it went, and not
    before `not_before`. Enrolments that ended, or stand elsewhere, stay as they are. The messages are locked.
    """
    cursor.execute(PICK, [list(sent)])
    rows = cursor.fetchall()
    following = load(cursor, {pk: step_id for pk, _, step_id, _ in rows})
    told = []
    for pk, enrolment_id, _, position in rows:
        one: dict[str, Any] = {"enrolment": enrolment_id, "position": position}
        if pk in following:
            follow_up, zone = following[pk].follow_up, following[pk].zone
            due = max(follow_up.due_at(sent[pk], zone), not_before)
            one |= {"step": follow_up.position, "due": due.isoformat()}
        told.append(one)
    cursor.execute(ADVANCE, {"told": json.dumps(told)})


# Ids of the mails that one may answer to: those before it in its thread, from the same mailbox, that arrived as far as
# anybody knows. A provider that writes an id of its own has that one on the wire.
THREADS = f"""
SELECT m.id, array_agg(CASE WHEN p.wire_message_id LIKE '%%@%%' THEN p.wire_message_id ELSE p.message_id END
    ORDER BY before.position)
FROM campaigns_message m
JOIN campaigns_step st ON st.id = m.step_id
JOIN campaigns_enrolment e ON e.id = m.enrolment_id
JOIN campaigns_message p ON p.enrolment_id = m.enrolment_id AND p.mailbox_id = m.mailbox_id AND p.status = 'sent'
    AND p.outcome NOT IN ({", ".join(f"'{outcome}'" for outcome in sequences.NOT_RECEIVED)})
JOIN campaigns_step before ON before.id = p.step_id AND before.position >= e.thread_from
    AND before.position < st.position
WHERE m.id = ANY (%s) AND st.position > 1
GROUP BY m.id"""


def threads(cursor: Any, message_ids: Iterable[int]) -> dict[int, tuple[str, ...]]:
    """{message id: Message-IDs before it in its thread, oldest first}; those that begin one stay out."""
    cursor.execute(THREADS, [list(message_ids)])
    return {pk: tuple(ids) for pk, ids in cursor.fetchall()}
