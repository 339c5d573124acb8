"""Sign-in tests in SQL: who is to be tested, and whose turn it is."""

from __future__ import annotations

# A mailbox signs in where it leaves, and where it is read; without a password there is nothing to test.
WANT = """
INSERT INTO mailboxes_signintest (tenant_id, mailbox_id, door, host, import_ref, result, tries, credential, text)
SELECT b.tenant_id, b.id, doors.door, doors.host, %(import)s, 'waiting', 0, '', ''
FROM mailboxes_mailbox b
JOIN mailboxes_provideraccount a ON a.id = b.home_id
CROSS JOIN LATERAL (VALUES ('smtp', a.host), ('imap', a.imap_host)) AS doors (door, host)
WHERE b.id = ANY(%(boxes)s) AND b.tenant_id = %(tenant)s AND b.state <> 'retired' AND b.sealed_password <> ''
  AND a.state = 'active' AND doors.host <> ''
ORDER BY b.id, doors.door
ON CONFLICT (mailbox_id, door) DO UPDATE SET
    host = excluded.host, import_ref = excluded.import_ref, result = 'waiting', text = ''
WHERE mailboxes_signintest.result <> 'running'"""

# What a tester that died had in hand; its try stays counted.
GIVE_BACK = """
UPDATE mailboxes_signintest SET result = 'waiting'
WHERE tenant_id = %(tenant)s AND result = 'running' AND at < now() - make_interval(secs => %(seconds)s)"""

HOSTS = """
SELECT host, count(*) FROM mailboxes_signintest
WHERE tenant_id = %(tenant)s AND result = 'waiting' AND import_ref = %(import)s GROUP BY host ORDER BY host"""

# For each host as many as it has room for.
NEXT = """
SELECT found.id FROM unnest(%(hosts)s::text[], %(room)s::int[]) AS h (host, room)
CROSS JOIN LATERAL (
    SELECT t.id FROM mailboxes_signintest t
    WHERE t.tenant_id = %(tenant)s AND t.result = 'waiting' AND t.host = h.host AND t.import_ref = %(import)s
    ORDER BY t.id LIMIT h.room FOR UPDATE SKIP LOCKED
) AS found
LIMIT %(most)s"""

COUNTS = """
SELECT result, count(*) FROM mailboxes_signintest WHERE tenant_id = %(tenant)s AND import_ref = %(import)s
GROUP BY result"""

# The places at a host, which all testers of all tenants share: rows of tenants_lease, since nobody sees all tests.
PLACES = """
INSERT INTO tenants_lease (name, holder, until)
SELECT name, %(holder)s, now() + make_interval(secs => %(seconds)s) FROM unnest(%(names)s::text[]) AS t (name)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
WHERE tenants_lease.holder = excluded.holder OR tenants_lease.until < now()
RETURNING name"""
LEAVE = "DELETE FROM tenants_lease WHERE holder = %(holder)s"
