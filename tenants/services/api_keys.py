"""API keys: issued, revoked, and judged when somebody comes with one."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.timezone import now

from outreach.common import isolation
from outreach.common.errors import BadInput, InvalidMove, Unknown
from tenants import permissions
from tenants.models import ApiKey, Tenant
from tenants.services import audit
from tenants.services.actors import Actor

FORM = re.compile(r"ok_([0-9a-f]{12})_([A-Za-z0-9_-]{43})", re.ASCII)
NO_HASH = bytes(32)  # compared where there is no key, so that both cases take the same steps
REFUSED = "This key does not hold: it is unknown, expired, revoked, or may not be used from where you are."


def hashed(secret: str) -> bytes:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).digest()


@transaction.atomic
def issue(
    tenant: Tenant,
    name: str,
    scopes: Iterable[str],
    *,
    actor: Actor,
    expires_at: datetime | None = None,
    ranges: Iterable[str] = (),
) -> tuple[ApiKey, str]:
    """A new key and its text, which is kept nowhere and has to be handed on now.

    Nobody gives a key what they may not do there themselves. Raises BadInput that names the field, NotAllowed.
    """
    actor.require("tenants.issue_keys", tenant)
    name, wanted = name.strip(), sorted(set(scopes))
    if not 1 <= len(name) <= 100:
        raise BadInput("Give the key a name of at most 100 characters, as of the system that uses it.", field="name")
    possible = permissions.ROLES["client_key"]
    unknown = [scope for scope in wanted if scope not in possible]
    if unknown or not wanted:
        known = ", ".join(sorted(possible))
        said = f"{unknown[0]!r} is no scope of a key" if unknown else "A key without a scope can do nothing"
        raise BadInput(f"{said}; there are {known}.", field="scopes")
    for scope in wanted:
        actor.require(scope, tenant)
    if expires_at is not None and expires_at <= now():
        raise BadInput("The key would be over before it begins.", field="expires_at")
    prefix, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    key = ApiKey.objects.create(
        tenant=tenant,
        name=name,
        prefix=prefix,
        key_hash=hashed(secret),
        scopes=wanted,
        ranges=[network(text) for text in ranges],
        expires_at=expires_at,
        created_by_id=actor.user_id,
    )
    audit.record(actor, "key.issued", key, scopes=wanted, ranges=key.ranges, until=expires_at)
    return key, f"ok_{prefix}_{secret}"


def network(text: str) -> str:
    """A range of addresses in its usual form. Raises BadInput."""
    try:
        if "%" in text:  # a zone means something on one machine only
            raise ValueError(text)
        return str(ipaddress.ip_network(text.strip()))
    except ValueError as error:
        raise BadInput(
            f"{text.strip()[:60]!r} is no address range; write for example 192.0.2.0/24 or 2001:db8::/32.",
            field="ranges",
        ) from error


@transaction.atomic
def revoke(key: ApiKey, *, actor: Actor) -> ApiKey:
    """The key opens nothing any more, from the next request on. Raises InvalidMove when it is revoked already."""
    actor.require("tenants.issue_keys", key)
    key = ApiKey.objects.select_for_update().get(pk=key.pk)
    if key.revoked_at is not None:
        raise InvalidMove(f"{key} is revoked already.", source="revoked", target="revoked")
    key.revoked_at = now()
    key.save(update_fields=["revoked_at"])
    audit.record(actor, "key.revoked", key)
    return key


def authenticate(text: str, address: str) -> Actor:
    """The actor of a key that is used from that address. Raises Unknown, with one sentence for every reason.

    A suspended tenant's key may still look and stop things (permissions.WHILE_SUSPENDED), since that is when
    its people need to; a closed tenant's key opens nothing.
    """
    parts = FORM.fullmatch(text)
    prefix, secret = parts.groups() if parts else ("", "")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, tenant_id, tenant_status, key_hash, scopes, ranges, used_lately FROM app_api_key(%s)", [prefix]
        )
        found = cursor.fetchone()
    kept = bytes(found[3]) if found else NO_HASH
    if not hmac.compare_digest(kept, hashed(secret)) or found is None:
        raise Unknown(REFUSED)
    key_id, tenant_id, tenant_status, _hash, scopes, ranges, used_lately = found
    if tenant_status == Tenant.Status.CLOSED or not _inside(address, ranges):
        raise Unknown(REFUSED)
    held = frozenset(scopes) & permissions.ROLES["client_key"]
    if tenant_status != Tenant.Status.ACTIVE:
        held &= permissions.WHILE_SUSPENDED
    if not used_lately:
        with isolation.tenants([tenant_id]):
            _used(key_id)
    return Actor("key", f"key ok_{prefix}", within={tenant_id: held}, key_id=key_id)


def _inside(address: str, ranges: list[str]) -> bool:
    """Whether an address is in one of the ranges; an IPv4 address in IPv6's clothes counts as what it is."""
    if not ranges:
        return True
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return any(found in ipaddress.ip_network(each) for each in ranges)


def _used(key_id: int) -> None:
    """Say that the key was used, at most once a minute."""
    old = Q(last_used_at=None) | Q(last_used_at__lt=Now() - timedelta(minutes=1))
    ApiKey.objects.filter(old, pk=key_id).update(last_used_at=Now())
