"""Suppression: record it, and stop in the same transaction everything that waits and is covered by it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
from django.utils.timezone import now

from campaigns.ledger import moves
from campaigns.models import Campaign, Contact, Message, Suppression, SuppressionList
from campaigns.services import contacts, sharing, suppression_lists
from outreach.common import addresses, isolation, repeating
from outreach.common.errors import BadInput, InvalidMove
from outreach.common.hashing import Hasher
from tenants.models import Tenant
from tenants.services import approvals, audit
from tenants.services.actors import Actor

BULK = 10_000  # entries from which one pass over all contacts beats a look-up for each


def hasher() -> Hasher:
    """The keyed hash that suppression and contacts share."""
    return Hasher.parse(settings.HASH_KEY)


def mask(email: str) -> str:
    """What staff may see of a suppressed address: m***@example.com."""
    local, _, domain = email.rpartition("@")
    return f"{local[:1]}***@{domain}"


def entry(text: str, keyed: Hasher) -> Suppression:
    """An unsaved Suppression of an address, `example.com`, or `*.example.com`. Raises BadInput."""
    text = text.strip()
    if "@" in text:
        address = addresses.parse(text)
        return Suppression(kind="address", hash=keyed.address(address.identity), hint=mask(address.key))
    if text.startswith("*."):
        domain = addresses.parse_domain(text[2:])
        return Suppression(kind="wildcard", hash=keyed.wildcard(domain), domain=domain)
    domain = addresses.parse_domain(text)
    return Suppression(kind="domain", hash=keyed.domain(domain), domain=domain)


def covering(text: str) -> list[bytes]:
    """Hashes of all entries that an address (or a domain) may be covered by; empty when it is neither of them."""
    keyed = hasher()
    try:
        if "@" in text:
            return contacts.hashes(keyed, addresses.parse(text))
        domain = addresses.parse_domain(text.removeprefix("*."))
    except BadInput:
        return []
    return contacts.domain_hashes(keyed, domain) if "." in domain else []


def standing(contact: Contact, *, campaign: Campaign | None = None) -> tuple[list[Suppression], bool]:
    """What keeps a person from being mailed, as its tenant may know it: the tenant's own entries in force, and whether
    a platform limit holds besides. Of that one nothing more is to be learned: neither whose it is nor why nor when.
    """
    hashes = [bytes(contact.address_hash), *map(bytes, contact.domain_hashes)]
    own = Suppression.objects.filter(tenant=contact.tenant_id, hash__in=hashes, lifted_at=None)
    own = own.filter(Q(campaign=None) | Q(campaign=campaign)) if campaign else own.filter(campaign=None)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT campaigns_platform_suppressed(%s) UNION ALL "
            "SELECT campaigns_shared_suppressed(%s, %s))",
            [hashes, contact.tenant_id, [bytes(contact.address_hash)]],
        )
        return list(own.select_related("suppression_list").order_by("pk")), cursor.fetchone()[0]


@transaction.atomic
def suppress(
    tenant: Tenant | None,
    entries: Iterable[str],
    *,
    actor: Actor,
    reason: str,
    via: str,
    campaign: Campaign | None = None,
    suppression_list: SuppressionList | None = None,
    source: str = "",
    proof: str = "",
    message_ref: int | None = None,
) -> int:
    """Record addresses, domains or wildcards and push the stop; return how many entries are new.

    Without a tenant the scope is the platform; with a campaign it is that campaign alone,
    which an opt-out can't be. Opt-outs stand in the tenant's list of them, whatever list is named.
    Raises BadInput that names the entry, InvalidMove about a list that is removed.
    """
    if tenant is None:
        actor.require("campaigns.suppress_platform")
    else:
        actor.require("campaigns.suppress", tenant)
    if reason == Suppression.Reason.OPT_OUT and (campaign or tenant is None):
        raise BadInput("An opt-out holds for the whole tenant; leave the campaign out and name the tenant.")
    if reason == Suppression.Reason.OPT_OUT and tenant is not None:
        suppression_list = suppression_lists.of_opt_outs(tenant)
    elif suppression_list is not None:
        suppression_list = suppression_lists.taking(suppression_list, tenant, campaign)
    given = {
        "source": suppression_lists.plain("source", source, 200),
        "proof": suppression_lists.plain("proof", proof, 500),
    }
    scope = "platform" if tenant is None else "campaign" if campaign else "tenant"
    keyed = hasher()
    rows = []
    for text in entries:
        row = entry(text, keyed)
        row.tenant, row.campaign, row.scope, row.reason = tenant, campaign, scope, reason
        row.suppression_list, row.via, row.message_ref = suppression_list, via, message_ref
        row.source, row.proof = given["source"], given["proof"]
        rows.append(row)
    known = Suppression.objects.filter(hash__in=[row.hash for row in rows], lifted_at=None, tenant=tenant)
    before = known.count()
    Suppression.objects.bulk_create(rows, ignore_conflicts=True, batch_size=5000)
    new = known.count() - before
    push(tenant.pk if tenant else None, [bytes(row.hash) for row in rows], campaign.pk if campaign else None)
    if reason in Suppression.SHARED_REASONS:
        sharing.ring(tenant)
    facts = {"entries": len(rows), "new": new, "scope": scope, "via": via}
    if suppression_list is not None:
        facts["suppression_list"] = suppression_list.pk
    audit.record(actor, "suppression.added", campaign or tenant or Suppression, reason=reason, **facts)
    return new


COVERED_CONTACTS = """
SELECT ct.id FROM campaigns_contact ct
WHERE ct.address_hash = ANY (%(hashes)s) AND (%(tenant)s::bigint IS NULL OR ct.tenant_id = %(tenant)s)
UNION
SELECT ct.id FROM campaigns_contact ct
WHERE %(wide)s AND ct.domain_hashes && %(hashes)s AND (%(tenant)s::bigint IS NULL OR ct.tenant_id = %(tenant)s)"""

# Added to, the tenant can't lead into an index: right after an import nobody has counted its contacts yet, and the
# database would take all of a tenant's people for few and read them anew for each entry.
ALL_COVERED = """
SELECT DISTINCT ct.id FROM campaigns_contact ct JOIN campaigns_suppression s ON s.hash = ct.address_hash
WHERE s.lifted_at IS NULL AND s.campaign_id IS NULL AND (s.tenant_id IS NULL OR s.tenant_id = ct.tenant_id + 0)
  AND (%(tenant)s::bigint IS NULL OR ct.tenant_id + 0 = %(tenant)s)"""

STOP_ENROLMENTS = """
UPDATE campaigns_enrolment e SET status = 'stopped', stop_reason = 'suppressed', due_at = NULL, waits_for = ''
FROM (
    SELECT e.id FROM campaigns_enrolment e JOIN push_contact p ON p.id = e.contact_id
    WHERE e.status = 'active' AND e.due_at IS NOT NULL
      AND (%(campaign)s::bigint IS NULL OR e.campaign_id = %(campaign)s)
    ORDER BY e.id FOR UPDATE OF e
) AS picked WHERE e.id = picked.id"""


@transaction.atomic
def push(tenant_id: int | None, hashes: Sequence[bytes], campaign_id: int | None = None) -> int:
    """Close every waiting message that entries with these hashes cover; return how many.

    With a campaign only its own messages; without a tenant all tenants are looked at, whichever
    the actor's scope is: an entry of the platform holds everywhere. The row
    lock decides the race with a sender: who commits first wins, and nothing of that person
    leaves after this transaction. From 10,000 entries on, the contacts are matched in one pass
    against the whole suppression table.
    """
    if tenant_id is None:
        with isolation.everything():
            return _push(None, hashes, campaign_id)
    return _push(tenant_id, hashes, campaign_id)


def _push(tenant_id: int | None, hashes: Sequence[bytes], campaign_id: int | None) -> int:
    values = {"tenant": tenant_id, "hashes": list(hashes)}
    with connection.cursor() as cursor:
        if len(hashes) >= BULK:
            sql = ALL_COVERED
        else:
            sql = COVERED_CONTACTS
            cursor.execute(
                "SELECT EXISTS (SELECT FROM campaigns_suppression WHERE kind <> 'address' AND hash = ANY (%s))",
                [values["hashes"]],
            )
            values["wide"] = cursor.fetchone()[0]
        cursor.execute("DROP TABLE IF EXISTS push_contact")
        cursor.execute(f"CREATE TEMP TABLE push_contact ON COMMIT DROP AS {sql}", values)
        cursor.execute("ANALYZE push_contact")
        closed = moves.close(
            "(%(campaign)s::bigint IS NULL OR m.campaign_id = %(campaign)s)",
            {"campaign": campaign_id},
            status=Message.Status.SUPPRESSED,
            reason="suppressed",
            joins="JOIN push_contact p ON p.id = m.contact_id",
        )
        cursor.execute(STOP_ENROLMENTS, {"campaign": campaign_id})
    return closed


@transaction.atomic
def lift(row: Suppression, *, actor: Actor, reason: str, approval: int | None = None) -> Suppression:
    """The entry holds no longer; people whom it stopped stay stopped, and may be enrolled anew.

    Others of the same address, for another reason or in another list, hold on. The row stays, with time
    and reason. Raises NotAllowed; BadInput without a reason; InvalidMove when it is lifted already; NeedsApproval.
    """
    actor.require("campaigns.lift", row)
    if row.tenant_id is None:
        actor.require("campaigns.suppress_platform")
    if not reason.strip():
        raise BadInput("Write why these people may be mailed again; it stands in the audit.", field="reason")
    row = Suppression.objects.select_for_update(of=("self",), no_key=True).get(pk=row.pk)
    if row.lifted_at is not None:
        raise InvalidMove("This entry is lifted already.", source="lifted", target="lifted")
    used = approvals.require(actor, "suppression.lift", row, approval=approval)
    row.lifted_at, row.lift_reason = now(), suppression_lists.plain("reason", reason, 300)
    row.save(update_fields=["lifted_at", "lift_reason"])
    audit.record(actor, "suppression.lifted", row, reason=reason, before=row.reason, approval=used and used.pk)
    return row


def keep_hashes_alone(tenant: Tenant, hashes: Sequence[bytes], *, via: str) -> int:
    """Part of an erasure, which records it: the first of these address hashes is blocked from now on, as an opt-out.

    What stands in words beside the tenant's entries of these addresses goes, as mask, source, proof and the reason of
    a lifting may name the person. Returns how many entries had any. `push` has to follow.
    """
    block = Suppression(tenant=tenant, scope=Suppression.Scope.TENANT, kind=Suppression.Kind.ADDRESS, hash=hashes[0])
    block.reason, block.suppression_list, block.via = "opt_out", suppression_lists.of_opt_outs(tenant), via
    Suppression.objects.bulk_create([block], ignore_conflicts=True)
    rows = Suppression.objects.filter(tenant=tenant, kind=Suppression.Kind.ADDRESS, hash__in=list(hashes))
    words = {name: "" for name in ("hint", "source", "proof", "lift_reason")}
    return rows.exclude(**words).update(**words)


@repeating.atomic
def unsubscribe(tenant_id: int, message_pk: int, *, actor: Actor, via: str) -> bool:
    """Opt the recipient of a message out of everything its tenant sends, now and later; safe to repeat.

    False when there is no such message (its row is older than the time that links live).
    """
    found = Contact.objects.filter(tenant_id=tenant_id, messages__pk=message_pk).first()
    if found is None:
        return False
    tenant = Tenant.objects.get(pk=tenant_id)
    suppress(
        tenant,
        [found.email_key],
        actor=actor,
        reason=Suppression.Reason.OPT_OUT,
        via=via,
        message_ref=message_pk,
    )
    return True
