"""Keys with which a client's systems speak to the API."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from tenants.models import history
from tenants.models.base import TenantOwned

# Asked before any tenant is in scope. Says nothing of keys that are revoked or expired, and of the others
# only what judging them takes; `used_lately` saves a write with every request.
LOOK_UP = """
CREATE FUNCTION app_api_key(wanted text) RETURNS TABLE (
    id bigint, tenant_id bigint, tenant_status varchar, key_hash bytea, scopes varchar[], ranges varchar[],
    used_lately boolean
) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT k.id, k.tenant_id, t.status, k.key_hash, k.scopes, k.ranges,
        coalesce(k.last_used_at > now() - interval '1 minute', false)
    FROM tenants_apikey k JOIN tenants_tenant t ON t.id = k.tenant_id
    WHERE k.prefix = wanted AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
$$"""
NO_LOOK_UP = "DROP FUNCTION app_api_key(text)"


@history.track(without=("last_used_at",), secrets=("key_hash",))
class ApiKey(TenantOwned):
    """A key of one tenant: `ok_<prefix>_<secret>`, of which only the prefix and a hash are kept.

    `key_hash` is the SHA-256 of the secret: 32 random bytes, so a slow hash would add nothing. `scopes` are
    permissions of the role client_key; `ranges` are networks it may be used from, empty: any.
    """

    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=12, editable=False)
    key_hash = models.BinaryField(editable=False)
    scopes = ArrayField(models.CharField(max_length=40))
    ranges = ArrayField(models.CharField(max_length=43), default=list, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, help_text=_("To the minute."))
    revoked_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-pk",)
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        constraints = [
            models.UniqueConstraint(fields=["prefix"], name="apikey_prefix_once"),
            models.CheckConstraint(condition=~Q(name=""), name="apikey_name_given"),
            models.CheckConstraint(condition=~Q(scopes=[]), name="apikey_scopes_given"),
        ]
        indexes = [models.Index(fields=["tenant"], name="apikey_tenant")]

    def __str__(self) -> str:
        return f"{self.name} (ok_{self.prefix})"
