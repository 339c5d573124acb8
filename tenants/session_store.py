"""Django's sessions in the database, under a hash of their key: who reads the table or a backup opens none of them."""

from __future__ import annotations

import hashlib
from typing import Any

from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.utils.timezone import now

CHARACTERS = 40  # of the column; 160 bits


def stored(session_key: str) -> str:
    """What stands in the table for a key. The key has 160 random bits itself, so a plain hash is enough."""
    return hashlib.sha256(session_key.encode()).hexdigest()[:CHARACTERS]


class SessionStore(db.SessionStore):
    """As Django's, but for the column `session_key`."""

    def _get_session_from_db(self) -> Session | None:
        key = self.session_key
        row = Session.objects.filter(session_key=stored(key), expire_date__gt=now()).first() if key else None
        if row is None:
            self._session_key = None
        return row

    def exists(self, session_key: str) -> bool:
        return Session.objects.filter(session_key=stored(session_key)).exists()

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        made = super().create_model_instance(data)
        made.session_key = stored(made.session_key)
        return made

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key:
            Session.objects.filter(session_key=stored(key)).delete()
