"""Leases of processes of which only one may lead."""

from __future__ import annotations

from django.db import models


class Lease(models.Model):
    """Who leads, and until when by the database's clock; taken over once `until` has passed."""

    name = models.CharField(max_length=40, primary_key=True)
    holder = models.UUIDField()
    until = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
