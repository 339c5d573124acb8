"""The questions that planner, claim and committing ask in the same words, as SQL fragments.

Aliases: m message, e enrolment, ct contact, c campaign, b mailbox, d sending domain,
a provider account, t tenant. Fragments take no parameters, so they can stand anywhere.
"""

from __future__ import annotations

# Suppressed in any scope: the address itself, its domain, or a wildcard above it.
# The hashes are unnested first: under row-level security a condition may use an index only if it can't leak, which
# holds for = alone and not for = ANY of an array that is put together here.
COVERED = """EXISTS (
    SELECT FROM unnest(ct.domain_hashes || ct.address_hash) AS own (hash)
    JOIN campaigns_suppression s ON s.hash = own.hash
    WHERE s.lifted_at IS NULL
      AND (s.tenant_id IS NULL OR s.tenant_id = ct.tenant_id)
      AND (s.campaign_id IS NULL OR s.campaign_id = c.id))"""

# The mailbox and everything it leaves by may send now.
SENDABLE = """(
    b.state IN ('active', 'ramping', 'probing', 'reserve') AND b.hold = 'none'
    AND (b.blocked_until IS NULL OR b.blocked_until <= now())
    AND d.state IN ('verified', 'degraded')
    AND a.state = 'active' AND (a.blocked_until IS NULL OR a.blocked_until <= now()))"""

# What a row needs besides, to leave now.
RUNNING = "(c.status = 'running' AND t.status = 'active' AND m.not_after > now())"

# From a message to all that the fragments above speak of.
JOINS = """
    JOIN campaigns_contact ct ON ct.id = m.contact_id
    JOIN campaigns_campaign c ON c.id = m.campaign_id
    JOIN tenants_tenant t ON t.id = m.tenant_id
    JOIN mailboxes_mailbox b ON b.id = m.mailbox_id
    JOIN mailboxes_sendingdomain d ON d.id = b.domain_id
    JOIN mailboxes_provideraccount a ON a.id = b.home_id"""
