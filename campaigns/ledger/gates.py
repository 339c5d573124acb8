"""The questions that planner, claim and committing ask in the same words, as SQL fragments.

Aliases: m message, e enrolment, ct contact, c campaign, b mailbox, d sending domain,
a provider account, t tenant. Fragments take no parameters, so they can stand anywhere.
"""

from __future__ import annotations

from mailboxes.ways.sql import LEAVES_BY, OWN_QUOTA_GROUP, QUOTA_GROUP

# Another tenant's opt-out or complaint, where both tenants share: nothing but one look at the own record where not.
SHARES = "own.suppression_sharing_on <= (now() AT TIME ZONE 'UTC')::date"
SHARED = f"""EXISTS (
    SELECT FROM tenants_tenantrecord own
    CROSS JOIN LATERAL campaigns_shared_suppressed(own.tenant_id, ARRAY[ct.address_hash])
    WHERE own.tenant_id = ct.tenant_id AND {SHARES})"""

# Suppressed in any scope: the address itself, its domain, or a wildcard above it; or by what others share.
# The hashes are unnested first: under row-level security a condition may use an index only if it can't leak, which
# holds for = alone and not for = ANY of an array that is put together here.
COVERED = f"""(EXISTS (
    SELECT FROM unnest(ct.domain_hashes || ct.address_hash) AS own (hash)
    JOIN campaigns_suppression s ON s.hash = own.hash
    WHERE s.lifted_at IS NULL
      AND (s.tenant_id IS NULL OR s.tenant_id = ct.tenant_id)
      AND (s.campaign_id IS NULL OR s.campaign_id = c.id)) OR {SHARED})"""

# Stops that hold now. One look at the open ones answers for all scopes: its index holds hardly any rows.
OPEN_STOP = "s.lifted_at IS NULL AND (s.until IS NULL OR s.until > now())"

# Of what a mailbox leaves by, and of its own account: a standby is no way round a stop. An id means one row only, so
# the tenant need not be compared.
MAILBOX_STOPPED = f"""EXISTS (
    SELECT FROM campaigns_stop s WHERE {OPEN_STOP} AND CASE s.scope
        WHEN 'pool' THEN s.key = b.pool_id WHEN 'domain' THEN s.key = b.domain_id
        WHEN 'account' THEN s.key IN (b.home_id, a.id)
        WHEN 'organisation' THEN s.key IN ({QUOTA_GROUP}, {OWN_QUOTA_GROUP}) END)"""

# Of what a campaign is part of.
CAMPAIGN_STOPPED = f"""EXISTS (
    SELECT FROM campaigns_stop s WHERE {OPEN_STOP} AND (s.scope = 'platform' OR s.key = CASE s.scope
        WHEN 'campaign' THEN c.id WHEN 'tenant' THEN c.tenant_id END))"""

# Of who takes the mail, from everybody, from one tenant, or from one organisational domain.
RECEIVER_STOPPED = f"""EXISTS (
    SELECT FROM campaigns_stop s WHERE {OPEN_STOP} AND s.scope = 'receiver' AND s.operator = m.operator
      AND s.organisational IN ('', d.organisational) AND (s.tenant_id IS NULL OR s.tenant_id = m.tenant_id))"""

# A person talks with the contact, or the contact wants to be left alone for a while.
TALKING = "(ct.conversation_since IS NOT NULL OR ct.quiet_until > now())"

# The mailbox and everything it leaves by is in order.
IN_ORDER = """(
    b.state IN ('active', 'ramping', 'probing', 'reserve') AND b.hold = 'none'
    AND (b.blocked_until IS NULL OR b.blocked_until <= now())
    AND d.state IN ('verified', 'degraded')
    AND a.state = 'active' AND a.circuit = 'closed' AND (a.blocked_until IS NULL OR a.blocked_until <= now()))"""

# And may send now.
SENDABLE = f"({IN_ORDER} AND NOT {MAILBOX_STOPPED})"

# What a row needs besides, to leave now.
RUNNING = f"""(
    c.status = 'running' AND t.status = 'active' AND m.not_after > now()
    AND NOT {CAMPAIGN_STOPPED} AND NOT {RECEIVER_STOPPED})"""

# From a message to all that the fragments above speak of.
JOINS = f"""
    JOIN campaigns_contact ct ON ct.id = m.contact_id
    JOIN campaigns_campaign c ON c.id = m.campaign_id
    JOIN tenants_tenant t ON t.id = m.tenant_id
    JOIN mailboxes_mailbox b ON b.id = m.mailbox_id
    JOIN mailboxes_sendingdomain d ON d.id = b.domain_id
    JOIN mailboxes_provideraccount a ON a.id = {LEAVES_BY}"""

# A message that an open stop covers; needs no join of its own.
STOPPED = f"""EXISTS (
    SELECT FROM campaigns_campaign c, mailboxes_mailbox b, mailboxes_sendingdomain d, mailboxes_provideraccount a
    WHERE c.id = m.campaign_id AND b.id = m.mailbox_id AND d.id = b.domain_id AND a.id = {LEAVES_BY}
      AND ({MAILBOX_STOPPED} OR {CAMPAIGN_STOPPED} OR {RECEIVER_STOPPED}))"""
