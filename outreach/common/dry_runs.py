"""Do it and take it back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction


@contextmanager
def perhaps(dry_run: bool) -> Iterator[None]:
    """A dry run is a transaction that is rolled back; any other has none here.

    Inside one a service can't begin again what lost a deadlock (outreach.common.repeating).
    """
    if not dry_run:
        yield
        return
    with transaction.atomic():
        yield
        transaction.set_rollback(True)
