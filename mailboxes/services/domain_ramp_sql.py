"""The daily job of the domains' ramps in SQL: that of the mailboxes, on the tables of domains."""

from __future__ import annotations

from mailboxes.services import ramp_sql

_OF_DOMAINS = {
    "mailboxes_mailbox": "mailboxes_sendingdomain",
    "mailboxes_rampday": "mailboxes_domainrampday",
    "mailbox_id": "domain_id",
    "'mailbox_day'": "'domain_day'",
}


def _of_domains(sql: str) -> str:
    for of_mailboxes, of_domains in _OF_DOMAINS.items():
        sql = sql.replace(of_mailboxes, of_domains)
    return sql


LOCK = _of_domains(ramp_sql.LOCK)
FIRST_OPEN = _of_domains(ramp_sql.FIRST_OPEN)
CLOSE_DAYS = _of_domains(ramp_sql.CLOSE_DAYS)
HISTORY = _of_domains(ramp_sql.HISTORY)
WRITE_DAYS = _of_domains(ramp_sql.WRITE_DAYS)

WRITE_CAPS = """
UPDATE mailboxes_sendingdomain d SET ramp_cap = made.cap
FROM unnest(%(domains)s::bigint[], %(caps)s::int[]) AS made (id, cap)
WHERE d.id = made.id"""

# Whose mail counts, and when the last of it passed its final dot.
MAILBOXES = """
SELECT id, domain_id, last_dot_at FROM mailboxes_mailbox WHERE domain_id = ANY (%(domains)s::bigint[])"""

# For the planner: whether the domain `d` is too young to send on %(day)s. Unknown days of registration count as old.
TOO_YOUNG = "coalesce(d.registered_on + %(first_send_after_days)s::int > %(day)s::date, false)"
