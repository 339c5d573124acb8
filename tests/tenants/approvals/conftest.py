"""A tenant with tight lines, two people who may agree, and one act after the other."""

from __future__ import annotations

import pytest

from tenants.models import ApprovalPolicy
from tests import factories
from tests.tenants.approvals.cases import Case, somebody


@pytest.fixture
def tenant():
    tenant = factories.tenant()
    strict = {"launch_above": 5, "cap_above": 50, "export_above": 3}
    strict |= dict.fromkeys(("release", "lift", "account", "bases"), True)
    ApprovalPolicy.objects.filter(tenant=tenant).update(**strict)
    return tenant


@pytest.fixture
def first(tenant):
    return somebody(tenant)


@pytest.fixture
def second(tenant):
    return somebody(tenant)


@pytest.fixture(
    params=[
        "campaign.launch",
        "campaign.revise",
        "mailbox.raise_cap",
        "mailbox.leave_ramp",
        "domain.leave_ramp",
        "mailbox.release",
        "mailboxes.bulk_raise_cap",
        "mailboxes.export",
        "account.reopen",
        "account.allow_bases",
        "bases.loosen",
        "suppression.lift",
        "suppression_list.remove",
    ]
)
def case(request, tenant):
    return Case(tenant, request.param)
