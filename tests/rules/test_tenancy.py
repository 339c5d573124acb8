"""No row can point across tenants, and the hooks say who listens."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, models, transaction

from campaigns.models import Campaign
from mailboxes.models import QuotaGroup
from outreach.common import hooks
from tenants.models import Tenant, TenantForeignKey, User, history
from tenants.models.base import tenant_keys
from tests import factories

OURS = ("tenants", "mailboxes", "campaigns", "deliverability")
# Their refusal must not need a tenant: platform suppressions and shared allowances have none.
TENANT_MAY_BE_EMPTY = {
    "campaigns.Suppression", "mailboxes.Allowance", "tenants.Approval", "tenants.ApprovalEvent",
    "tenants.AuditChain", "tenants.AuditEntry", "tenants.Invitation",
    "tenants.Membership",
}  # fmt: skip
TENANT_MAY_BE_EMPTY |= {"campaigns.Stop", "campaigns.StopEvent"}
TENANT_MAY_BE_EMPTY |= {"campaigns.SuppressionList", "campaigns.SuppressionListEvent"}
TENANT_MAY_BE_EMPTY |= {"tenants.InvitationEvent", "tenants.MembershipEvent"}


def our_models() -> list[type[models.Model]]:
    return [model for label in OURS for model in apps.get_app_config(label).get_models()]


def events() -> list[type[models.Model]]:
    """The tables of the history: written by triggers only."""
    return [model for model in our_models() if issubclass(model, history.Event)]


def owned() -> list[type[models.Model]]:
    tables = [model for model in our_models() if not model._meta.proxy]
    return [model for model in tables if any(field.name == "tenant" for field in model._meta.fields)]


@pytest.mark.parametrize("model", owned(), ids=lambda model: model._meta.label)
def test_references_within_a_tenant_are_composite_keys(model):
    plain = [
        field.name
        for field in model._meta.local_fields
        if isinstance(field, models.ForeignKey)
        and not isinstance(field, TenantForeignKey)
        and field.name != "tenant"
        and field.related_model not in (User, QuotaGroup)  # people and hosts' quotas belong to no tenant
    ]
    assert plain == []


@pytest.mark.django_db
@pytest.mark.parametrize("model", owned(), ids=lambda model: model._meta.label)
def test_the_database_has_every_composite_key(model):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f' AND conrelid = %s::regclass",
            [model._meta.db_table],
        )
        found = [row[0] for row in cursor.fetchall()]
    for field in tenant_keys(model):
        target = field.remote_field.model._meta.db_table
        expected = f"FOREIGN KEY (tenant_id, {field.column}) REFERENCES {target}(tenant_id, id)"
        assert [definition for definition in found if definition.startswith(expected)], expected


@pytest.mark.parametrize("model", owned(), ids=lambda model: model._meta.label)
def test_a_tenant_is_required_but_where_the_platform_owns(model):
    assert model._meta.get_field("tenant").null is (model._meta.label in TENANT_MAY_BE_EMPTY)


@pytest.mark.django_db
def test_a_campaign_cannot_send_from_anothers_pool():
    ours, theirs = factories.tenant(), factories.tenant()

    with pytest.raises(IntegrityError), transaction.atomic():
        Campaign.objects.create(tenant=ours, name="Raid", pool=factories.pool(theirs))

    assert not Campaign.objects.exists()


def test_who_listens_to_what():
    assert hooks.registered() == {
        "tenants.suspended": ["campaigns.hooks.suspended"],
        "tenants.cap_lowered": ["campaigns.hooks.tenant_cap_lowered"],
        "tenants.record_written": ["campaigns.hooks.record_written"],
        "tenants.contract_changed": ["campaigns.hooks.contract_changed"],
        "tenants.frequency_set": ["campaigns.hooks.frequency_set"],
        "tenants.erasing": [],
        "tenants.retention": [],
        "mailboxes.withdrawn": ["campaigns.hooks.withdrawn"],
        "mailboxes.leaving": ["campaigns.hooks.leaving"],
        "mailboxes.brake_pulled": ["campaigns.hooks.brake_pulled"],
        "mailboxes.bases_changed": ["campaigns.hooks.bases_changed"],
        "mailboxes.cap_lowered": ["campaigns.hooks.mailbox_cap_lowered"],
        "mailboxes.bases_needed": ["campaigns.hooks.bases_needed"],
        "mailboxes.account_suspended": ["campaigns.hooks.account_suspended"],
        "mailboxes.counting_clean": ["campaigns.hooks.counting_clean"],
        "mailboxes.moved": ["campaigns.hooks.mailbox_cap_lowered"],
        "mailboxes.counting_waiting": ["campaigns.hooks.counting_waiting"],
        "mailboxes.counting_sent": ["campaigns.hooks.counting_sent"],
        "mailboxes.judging": ["campaigns.hooks.judging"],
        "mailboxes.last_sent": ["campaigns.hooks.last_sent"],
        "mailboxes.judging_domains": ["campaigns.hooks.judging_domains"],
        "mailboxes.receiver_limited": ["campaigns.hooks.receiver_limited"],
        "campaigns.preflight": ["campaigns.hooks.preflight", "deliverability.hooks.preflight"],
    }


@pytest.mark.django_db
def test_states_are_known_to_the_database():
    tenant = factories.tenant()

    with pytest.raises(IntegrityError), transaction.atomic():
        Tenant.objects.filter(pk=tenant.pk).update(status="asleep")
