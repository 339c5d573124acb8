"""System checks of our own: outreach.E001 and on."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from django.conf import settings
from django.core.checks import Error, Tags, Warning, register

KEY_BYTES = 32


def bad_key(text: str) -> str | None:
    """Return what is wrong with a base64 key, or None."""
    try:
        size = len(base64.b64decode(text, validate=True))
    except binascii.Error:
        return "is not base64"
    return None if size >= KEY_BYTES else f"has {size} bytes, {KEY_BYTES} are needed"


@register(Tags.security)
def keys_are_keys(app_configs: Any, **kwargs: Any) -> list[Error]:
    """E001: a key list that can't be read. The message names the id, never the key."""
    found = []
    for name in ("CREDENTIAL_KEYS", "TOKEN_KEYS"):
        ids = []
        for entry in getattr(settings, name).split(","):
            key_id, colon, key = entry.strip().partition(":")
            ids.append(key_id)
            fault = bad_key(key) if colon and key_id else "is not id:base64"
            if fault:
                hint = "Make one with: echo k1:$(head -c 32 /dev/urandom | base64)"
                found.append(Error(f"{name}: the entry {key_id[:12]!r} {fault}.", hint=hint, id="outreach.E001"))
        if len(set(ids)) != len(ids):
            found.append(Error(f"{name}: a key id stands there twice.", id="outreach.E001"))
    if fault := bad_key(settings.HASH_KEY):
        found.append(Error(f"HASH_KEY {fault}.", id="outreach.E001"))
    return found


@register(Tags.security, deploy=True)
def insecure_http_stays_on_loopback(app_configs: Any, **kwargs: Any) -> list[Error]:
    """E002: plain http may be served on loopback only, where nobody listens in."""
    strangers = set(settings.ALLOWED_HOSTS) - {"localhost", "127.0.0.1", "[::1]"}
    if settings.INSECURE_HTTP and strangers and not settings.DEBUG:
        return [
            Error(
                f"INSECURE_HTTP is on, but ALLOWED_HOSTS has {', '.join(sorted(strangers))}.",
                hint="Take INSECURE_HTTP out and put a proxy with a certificate in front (BEHIND_PROXY=1).",
                id="outreach.E002",
            )
        ]
    return []


@register(Tags.database, deploy=True)
def leases_outlive_answers(app_configs: Any, **kwargs: Any) -> list[Warning]:
    """W001: a plan that looks less far ahead than it runs leaves mailboxes idle between runs."""
    if settings.PLAN_HORIZON_SECONDS < 2 * settings.PLAN_EVERY_SECONDS:
        hint = "Set PLAN_HORIZON_SECONDS to at least twice PLAN_EVERY_SECONDS."
        return [Warning("The planner looks less than two of its runs ahead.", hint=hint, id="outreach.W001")]
    return []
