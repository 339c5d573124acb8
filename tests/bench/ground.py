"""A million people in one list, made by the database itself in seconds; preparation only, never timed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from campaigns.models import Campaign
from mailboxes.models import Mailbox
from tenants.models import Tenant
from tests import factories
from tests.bench import house

MAILBOXES = 1200
DOMAINS_OF_PEOPLE = 20_000

CONTACTS = """
INSERT INTO campaigns_contact
    (tenant_id, email, email_key, address_hash, domain_hashes, first_name, last_name, company, country, time_zone,
     person_kind, source, lawful_basis, basis_date, basis_evidence, fields, created_at)
SELECT %(tenant)s, email, email, substring(sha256(convert_to(email, 'UTF8')) FOR 16),
    ARRAY[substring(sha256(convert_to('d' || host, 'UTF8')) FOR 16),
        substring(sha256(convert_to('w' || host, 'UTF8')) FOR 16)],
    'First' || n, 'Last' || n, 'Company ' || n, 'UA', '', 'corporate_named', 'fair in Kyiv, badge scan', 'consent',
    '2026-01-02', '', '{}', now()
FROM (
    SELECT n, 'world' || n %% %(domains)s || '.example' AS host,
        'person' || n || '@world' || n %% %(domains)s || '.example' AS email
    FROM generate_series(1, %(count)s) AS n
) AS made"""

ENTRIES = """
INSERT INTO campaigns_listentry (tenant_id, contact_list_id, contact_id)
SELECT tenant_id, %(list)s, id FROM campaigns_contact WHERE tenant_id = %(tenant)s ORDER BY id"""

# None of them is in the list: the gate has to look for every person all the same.
SUPPRESSIONS = """
INSERT INTO campaigns_suppression (tenant_id, scope, kind, hash, hint, domain, reason, via, created_at)
SELECT %(tenant)s, 'tenant', 'address', substring(sha256(int8send(n)) FOR 16), '', '', 'opt_out', 'bench', now()
FROM generate_series(1, %(count)s) AS n"""

ENROLMENTS = """
INSERT INTO campaigns_enrolment
    (tenant_id, campaign_id, contact_id, step, status, stop_reason, due_at, waits_for, zone, created_at)
SELECT tenant_id, %(campaign)s, contact_id, 1, 'active', '', now() - interval '1 hour', '', 'UTC', now()
FROM campaigns_listentry WHERE contact_list_id = %(list)s ORDER BY contact_id"""

PLANNED_TABLES = (
    "campaigns_message, campaigns_enrolment, mailboxes_allowance, mailboxes_allowancereturn, mailboxes_rotation"
)


class Ground:
    """A tenant with 1200 mailboxes and one list of `people`, beside `suppressions` that cover none of them."""

    def __init__(self, people: int, suppressions: int = 0) -> None:
        self.people = people
        self.tenant: Tenant = factories.tenant()
        fleet = factories.fleet(self.tenant, MAILBOXES, domains=60, daily_cap=1000)
        self.pool, self.list = fleet[0].pool, factories.contact_list(self.tenant)
        self.campaign: Campaign | None = None
        with house.admin() as link:
            link.execute("SET session_replication_role = replica")  # made by us and right: no key is looked up
            values = {"tenant": self.tenant.pk, "list": self.list.pk, "domains": DOMAINS_OF_PEOPLE}
            link.execute(CONTACTS, values | {"count": people})
            link.execute(ENTRIES, values)
            if suppressions:
                link.execute(SUPPRESSIONS, values | {"count": suppressions})
            for table in ("campaigns_contact", "campaigns_listentry", "campaigns_suppression"):
                link.execute(f"VACUUM (ANALYZE) {table}")  # noqa: S608 (our own names)

    def launch(self) -> None:
        """A new running campaign with everybody of the list enrolled and due."""
        if self.campaign is not None:
            Campaign.objects.filter(pk=self.campaign.pk).update(status="cancelled")
        self.campaign = factories.campaign(self.tenant, self.pool, self.list, status="running", zones=["UTC"])
        with house.admin() as link:
            link.execute("SET session_replication_role = replica")
            link.execute(ENROLMENTS, {"campaign": self.campaign.pk, "list": self.list.pk})

    def allow(self, messages: int) -> None:
        """Give the mailboxes caps that add up to so many messages a day; the usual 1000 each where that is enough."""
        each, rest = divmod(messages, MAILBOXES)
        boxes = Mailbox.objects.filter(tenant=self.tenant)
        if each >= 500:
            boxes.update(daily_cap=1000)
            return
        boxes.update(daily_cap=each)
        ids = list(boxes.order_by("pk").values_list("pk", flat=True)[:rest])
        Mailbox.objects.filter(pk__in=ids).update(daily_cap=each + 1)

    def take_back(self) -> None:
        """As if the last run had not been: its people are due again, its allowances and messages are gone."""
        with house.admin() as link:
            link.execute(
                "TRUNCATE campaigns_message, mailboxes_allowance, mailboxes_allowancereturn, mailboxes_rotation"
            )
            link.execute(
                "UPDATE campaigns_enrolment SET due_at = now() - interval '1 hour', waits_for = '', mailbox_id = NULL "
                "WHERE waits_for = 'message'"
            )


def clear() -> None:
    """No plans and no enrolments at all."""
    with house.admin() as link:
        link.execute(f"TRUNCATE {PLANNED_TABLES}")


def settle() -> None:
    """Statistics and visibility as autovacuum would have them, and no checkpoint in the middle of what is timed."""
    with house.admin() as link:
        for table in (name.strip() for name in PLANNED_TABLES.split(",")):
            link.execute(f"VACUUM (ANALYZE) {table}")  # noqa: S608 (our own names)
        link.execute("CHECKPOINT")


def morning() -> datetime:
    """Just after the next midnight in UTC: a whole day lies ahead."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    return tomorrow.replace(hour=0, minute=0, second=5, microsecond=0)
