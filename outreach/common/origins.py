"""What a request says of where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings


def address_of(meta: Mapping[str, Any]) -> str:
    """Where a request comes from; behind our proxy, what that one put last into X-Forwarded-For."""
    if settings.SECURE_PROXY_SSL_HEADER:
        return str(meta.get("HTTP_X_FORWARDED_FOR", "")).rpartition(",")[2].strip()
    return str(meta.get("REMOTE_ADDR", ""))
