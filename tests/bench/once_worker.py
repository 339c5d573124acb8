"""A send worker whose ledger is told once, after the batch: what never doubling costs is the difference.

For the bench alone. It grants every dot at once and marks all mails of a job as sent in one statement at
its end, as a sender does that may mail twice after a crash.
"""

from __future__ import annotations

import os
import sys
from typing import Any

MARK = """
WITH told AS (
    SELECT * FROM unnest(%(ids)s::bigint[], %(texts)s::text[], %(hashes)s::bytea[], %(provider_ids)s::text[])
        AS told (id, text, hash, provider_id)
), sent AS (
    UPDATE campaigns_message m
    SET status = 'sent', sent_at = now(), reply_text = left(told.text, 500), content_hash = told.hash,
        wire_message_id = told.provider_id, tries = m.tries + 1, claim = NULL, last_claim = %(token)s,
        lease_until = NULL, reason = ''
    FROM told WHERE m.id = told.id AND m.claim = %(token)s
    RETURNING m.enrolment_id
)
UPDATE campaigns_enrolment e SET status = 'done', due_at = NULL, waits_for = ''
FROM sent WHERE e.id = sent.enrolment_id AND e.status = 'active'"""


def main() -> int:
    os.environ["DATABASE_ROLE"] = "worker"
    import django

    django.setup()

    from django.db import connection, transaction

    from campaigns.pipeline import sender, writer
    from campaigns.pipeline.delivery import Letter, Outcome
    from outreach.management.commands import worker

    class OnceLedger(writer.LedgerWriter):
        """Says yes to every dot, and writes what came of them when the job is over."""

        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.kept: list[Outcome] = []

        def committing(self, letter: Letter) -> bool:
            return True

        def settle(self, outcome: Outcome) -> None:
            self.kept.append(outcome)

        def finish(self, seconds: float, *, abandon: bool = False) -> bool:
            self._said.extend(self.kept)
            return super().finish(seconds, abandon=abandon)

        def _transact(self, group: writer.Group) -> set[int]:
            told = group.settled
            if any(outcome.result != "sent" for outcome in told) or group.released:
                raise RuntimeError("The sink refused a mail, or one was not tried; this ledger can't note that.")
            values = {
                "token": self.token,
                "ids": [outcome.id for outcome in told],
                "texts": [outcome.text for outcome in told],
                "hashes": [outcome.content_hash for outcome in told],
                "provider_ids": [outcome.provider_id for outcome in told],
            }
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(MARK, values)
            self.commits += 1
            return set()

    writer.MAX_GROUP = 1_000_000
    sender.LedgerWriter = OnceLedger  # type: ignore[assignment, misc]
    return worker.work("send")


if __name__ == "__main__":
    sys.exit(main())
