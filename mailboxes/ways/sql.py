"""By which account a mailbox leaves, in SQL: b is the mailbox, a the account that LEAVES_BY joins."""

from __future__ import annotations

LEAVES_BY = "coalesce(b.standby_id, b.home_id)"

# What the mailbox has agreed on with its own host says nothing about another one.
QUOTA_GROUP = "CASE WHEN a.id = b.home_id THEN coalesce(b.quota_group_id, a.quota_group_id) ELSE a.quota_group_id END"

# Of its own host, wherever it leaves now: what is asked of that host holds for its mail on any way.
OWN_QUOTA_GROUP = """coalesce(b.quota_group_id, (
    SELECT own.quota_group_id FROM mailboxes_provideraccount own WHERE own.id = b.home_id))"""
