"""Where people are signed in."""

from __future__ import annotations

import hashlib
from typing import Self

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class SignedInQuerySet(models.QuerySet["SignedIn"]):
    """Questions about sessions."""

    def open(self) -> Self:
        return self.filter(ended_at=None)

    def of_key(self, session_key: str) -> Self:
        return self.filter(key_hash=key_hash(session_key))


class SignedIn(models.Model):
    """A session of a person, so that it can be listed and ended. Without an open row here no session counts.

    Only the SHA-256 of the session's key is kept: who reads this table can't take a session over.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    key_hash = models.BinaryField(max_length=32, unique=True, editable=False)
    address = models.GenericIPAddressField(_("address"), null=True, blank=True)
    browser = models.CharField(_("browser"), max_length=200, blank=True)  # the user agent, cut
    created_at = models.DateTimeField()
    seen_at = models.DateTimeField()  # to the minute: it is written at most that often
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = SignedInQuerySet.as_manager()

    class Meta:
        ordering = ("-pk",)
        verbose_name = _("session")
        verbose_name_plural = _("sessions")

    def __str__(self) -> str:
        return f"{self.user_id}: {self.created_at:%Y-%m-%d %H:%M}"


def key_hash(session_key: str) -> bytes:
    return hashlib.sha256(session_key.encode()).digest()
