"""A tenant with the standard plan and a mailbox on it."""

from __future__ import annotations

import pytest

from mailboxes.models import Mailbox, RampPlan
from mailboxes.services import ramp
from tenants.services.actors import SYSTEM
from tests import factories
from tests.mailboxes.ramps.days import DAY, Mail


@pytest.fixture
def tenant():
    return factories.tenant()


@pytest.fixture
def plan(tenant) -> RampPlan:
    return ramp.add_plan(tenant, "standard", actor=SYSTEM)


@pytest.fixture
def box(tenant, plan) -> Mailbox:
    """Put on the ramp on DAY, with a cap of its own of 40."""
    made = factories.mailbox(tenant, daily_cap=40)
    return ramp.start_ramp(made, plan, actor=SYSTEM, day=DAY)


@pytest.fixture
def mail(box) -> Mail:
    return Mail(box)
