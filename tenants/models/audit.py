"""What was done, by whom, to what: rows that are added and never changed."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

# The tables keep a writer out twice: web and worker hold no right but to read, and a trigger stops the owner as well.
# Writing goes through two functions, which take the number and the hash only in their order. The chain is an HMAC
# under a key that the database does not hold, so what they are given is judged later, by verify_audit.
APPEND_ONLY = """
CREATE FUNCTION app_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: nothing there is changed or deleted', TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON tenants_auditentry
    FOR EACH ROW EXECUTE FUNCTION app_append_only();
CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON tenants_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION app_append_only();
CREATE TRIGGER keep_heads BEFORE DELETE ON tenants_auditchain
    FOR EACH ROW EXECUTE FUNCTION app_append_only();
CREATE TRIGGER keep_heads_whole BEFORE TRUNCATE ON tenants_auditchain
    FOR EACH STATEMENT EXECUTE FUNCTION app_append_only();

-- The head of a chain, held until the transaction ends, so that entries follow each other in one line. A tenant out
-- of scope is refused; the platform's chain is open to everybody who acts.
CREATE FUNCTION app_audit_head(chain bigint) RETURNS TABLE (seq bigint, hash bytea, at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF chain IS NOT NULL AND NOT chain = ANY (coalesce(app_tenants(), '{}')) THEN
        RAISE EXCEPTION 'tenant % is not in scope', chain USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO tenants_auditchain AS c (tenant_id, seq, hash) VALUES (chain, 0, decode(repeat('00', 32), 'hex'))
        ON CONFLICT DO NOTHING;
    RETURN QUERY SELECT c.seq, c.hash, clock_timestamp() FROM tenants_auditchain c
        WHERE c.tenant_id IS NOT DISTINCT FROM chain FOR UPDATE;
END $$;
CREATE FUNCTION app_audit_append(entry jsonb, entry_hash bytea) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    made tenants_auditentry := jsonb_populate_record(NULL::tenants_auditentry, entry);
BEGIN
    IF made.tenant_id IS NOT NULL AND NOT made.tenant_id = ANY (coalesce(app_tenants(), '{}')) THEN
        RAISE EXCEPTION 'tenant % is not in scope', made.tenant_id USING ERRCODE = 'insufficient_privilege';
    END IF;
    UPDATE tenants_auditchain c SET seq = made.seq, hash = entry_hash
        WHERE c.tenant_id IS NOT DISTINCT FROM made.tenant_id AND c.seq = made.seq - 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'entry % does not follow the head of its chain', made.seq;
    END IF;
    made.id := nextval(pg_get_serial_sequence('tenants_auditentry', 'id'));
    made.hash := entry_hash;
    INSERT INTO tenants_auditentry SELECT made.*;
    RETURN made.id;
END $$;"""

NOT_APPEND_ONLY = """
DROP FUNCTION app_audit_append(jsonb, bytea);
DROP FUNCTION app_audit_head(bigint);
DROP FUNCTION app_append_only() CASCADE"""


class AuditChain(models.Model):
    """Where a chain stands: one for each tenant, and one of the platform (no tenant)."""

    tenant = models.ForeignKey(
        "tenants.Tenant", null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    seq = models.BigIntegerField(_("entries"))
    hash = models.BinaryField(editable=False)

    class Meta:
        verbose_name = _("audit chain")
        verbose_name_plural = _("audit chains")
        constraints = [
            models.UniqueConstraint(fields=["tenant"], nulls_distinct=False, name="auditchain_once"),
        ]

    def __str__(self) -> str:
        return f"{self.tenant_id or 'platform'}: {self.seq}"


class AuditEntry(models.Model):
    """One act: written in the transaction that did it, by services.audit.record alone.

    Holds ids, keyed hashes and reasons, never addresses or names of people, so that an erasure leaves the chain as
    it is. `seq` counts from 1 in each chain; `hash` is tenants.chain.link of the entry before and this one.
    """

    tenant = models.ForeignKey(
        "tenants.Tenant", null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    seq = models.BigIntegerField(_("number"))
    at = models.DateTimeField(_("time"))
    action = models.CharField(_("action"), max_length=60)
    actor_kind = models.CharField(_("kind of actor"), max_length=12)
    actor_user = models.ForeignKey(
        "tenants.User", null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False,
        db_constraint=False, verbose_name=_("person"),
    )  # fmt: skip
    actor_key_id = models.BigIntegerField(_("API key"), null=True, blank=True)
    actor_name = models.CharField(_("account of the system"), max_length=60, blank=True)
    subject = models.CharField(_("kind of subject"), max_length=60)
    subject_id = models.BigIntegerField(_("subject"), null=True, blank=True)
    before = models.JSONField(_("before"), null=True, blank=True)
    after = models.JSONField(_("after"), null=True, blank=True)
    reason = models.CharField(_("reason"), max_length=500, blank=True)
    facts = models.JSONField(_("facts"), default=dict)
    ip = models.CharField(_("IP address"), max_length=45, blank=True)
    request_id = models.CharField(_("request or job"), max_length=64, blank=True)
    via = models.CharField(_("door"), max_length=40, blank=True)
    hash = models.BinaryField(editable=False)

    class Meta:
        ordering = ("-pk",)
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit entries")
        constraints = [
            models.UniqueConstraint(fields=["tenant", "seq"], nulls_distinct=False, name="auditentry_number_once"),
        ]
        indexes = [
            models.Index(fields=["tenant", "id"], name="auditentry_tenant"),
            models.Index(fields=["subject", "subject_id", "id"], name="auditentry_subject"),
            models.Index(fields=["actor_user", "id"], name="auditentry_person"),
            models.Index(fields=["action", "id"], name="auditentry_action"),
        ]

    def __str__(self) -> str:
        return f"{self.seq}: {self.action}"
