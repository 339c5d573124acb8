"""A tenant with a small fleet on which edits are tried."""

from __future__ import annotations

import pytest

from mailboxes.edits import Wish
from mailboxes.models import BulkEdit, Mailbox, RampPlan
from mailboxes.services import editing
from tenants.services.actors import SYSTEM
from tests import factories


@pytest.fixture
def tenant():
    return factories.tenant()


@pytest.fixture
def boxes(tenant):
    return factories.fleet(tenant, 4, daily_cap=40)


@pytest.fixture
def plan(tenant):
    return RampPlan.objects.create(tenant=tenant, name="gentle", start=10, ceiling=40)


def drafted(boxes, actor=SYSTEM, **wish) -> BulkEdit:
    return editing.draft(boxes[0].tenant, [box.pk for box in boxes], Wish.of(**wish), actor=actor)


def applied(boxes, actor=SYSTEM, **wish) -> BulkEdit:
    edit = drafted(boxes, **wish)
    return editing.apply(edit, actor=actor, digest=editing.preview(edit).digest)


def stored(boxes) -> list[dict]:
    """The rows as they are now, in the order of their ids."""
    return list(Mailbox.objects.filter(pk__in=[box.pk for box in boxes]).order_by("pk").values())
