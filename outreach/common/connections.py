"""As which role this process signs in to the database."""

from __future__ import annotations

from django.conf import settings
from django.db import connections


def use_role(role: str) -> None:
    """Close what is open and sign in as web, worker or owner from now on, in every thread of this process."""
    connections.close_all()
    target = settings.DATABASE_SETTINGS[role]
    settings.DATABASES["default"].update(
        {name: target[name] for name in ("USER", "PASSWORD", "HOST", "PORT", "OPTIONS")}
    )
