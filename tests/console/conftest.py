"""People who sign in, and a small world whose every table has rows."""

from __future__ import annotations

import secrets
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.core.cache import caches
from django.test import Client
from django.utils.timezone import now
from django_otp import DEVICE_ID_SESSION_KEY

from campaigns.models import (
    Attempt,
    BasisRule,
    Batch,
    Canary,
    Click,
    Contact,
    ContactImport,
    Enrolment,
    ImportedContact,
    Message,
    PlanRun,
    SeedAddress,
    Stop,
    TestSend,
    Variant,
)
from campaigns.services import suppression, suppression_lists
from campaigns.services import uploads as contact_uploads
from deliverability.dns.findings import found
from deliverability.models import DomainCheck, VerifierUse
from mailboxes.models import (
    AccountMinute,
    Allowance,
    AllowanceReturn,
    BulkEdit,
    BulkEditRow,
    DomainRampDay,
    Import,
    ImportedRow,
    Mailbox,
    QuarantineCase,
    QuotaGroup,
    RampDay,
    RampPlan,
    ReceiverDomain,
    Retirement,
    Rotation,
    SendingDomain,
    SignInTest,
    Standby,
    Upload,
)
from mailboxes.services import undo, uploads
from outreach.common import freshness
from tenants.models import Approval, BreakGlass, Lease, RecoverySheet, SecondFactor, Tenant, User
from tenants.models.factors import hashed
from tenants.services import api_keys, invitations, members
from tenants.services.actors import SYSTEM
from tenants.sign_in import VERIFIED_AT
from tests import factories

PASSWORD = "correct horse battery"
CANARY = "canary-secret-of-a-mailbox"


@pytest.fixture(autouse=True)
def _nothing_kept(running_servers):
    """Figures and tries of one test must not show in the next."""
    freshness.forget()
    caches["counters"].clear()
    yield
    freshness.forget()


def person(email: str, role: str = "", tenant: Tenant | None = None, **rights: bool) -> User:
    """Somebody with a second factor; with a role, in that tenant or else in every tenant."""
    user = User.objects.create_user(email, PASSWORD, **{"is_staff": True, **rights})
    if role:
        members.grant(user, role, tenant and tenant.pk, actor=SYSTEM)
    SecondFactor.new(user, confirmed=True).save()
    return user


def client_of(user: User, *, verified_ago: float = 0) -> Client:
    """A browser of that person, with a code entered that many seconds ago."""
    client = Client()
    user.refresh_from_db()  # what ended earlier sessions is no end of this one
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    session = client.session
    session[DEVICE_ID_SESSION_KEY] = SecondFactor.objects.get(user=user, confirmed=True).persistent_id
    session[VERIFIED_AT] = time.time() - verified_ago
    session.save()
    return client


def code_of(user: User) -> str:
    """The six digits that the person's authenticator shows now."""
    return f"{SecondFactor.objects.get(user=user, confirmed=True).clock.token():06d}"


@pytest.fixture
def chief(db) -> User:
    return person("chief@example.com", "platform_admin", is_superuser=True)


@pytest.fixture
def analyst(db) -> User:
    return person("analyst@example.com", "analyst")


@pytest.fixture
def as_chief(chief) -> Client:
    return client_of(chief)


@pytest.fixture
def as_analyst(analyst) -> Client:
    return client_of(analyst)


class World:
    """One tenant with a running campaign whose messages are in every state."""

    def __init__(self, people: int = 18, mailboxes: int = 4) -> None:
        self.tenant = factories.tenant()
        self.pool = factories.pool(self.tenant)
        self.mailboxes = factories.fleet(self.tenant, mailboxes, pool=self.pool)
        box = self.mailboxes[0]
        box.sealed_password = factories.seal_password(self.tenant.pk, box.seal_ref, CANARY)
        box.save(update_fields=["sealed_password"])
        self.list = factories.contact_list(self.tenant)
        self.people = factories.people(self.tenant, self.list, people)
        self.campaign = factories.campaign(
            self.tenant, self.pool, self.list, status="running", started_at=now() - timedelta(minutes=30)
        )
        self.step = self.campaign.steps.get()
        self.batch = Batch.objects.create(tenant=self.tenant, campaign=self.campaign, size=people)
        self.messages = [self.message(i) for i in range(people)]
        self.uncertain = next(message for message in self.messages if message.status == "uncertain")
        self.rest()

    def message(self, i: int) -> Message:
        status = Message.Status.values[i % len(Message.Status.values)]
        enrolment = Enrolment.objects.create(
            tenant=self.tenant, campaign=self.campaign, contact=self.people[i], zone="UTC", waits_for="message",
            mailbox=self.mailboxes[i % len(self.mailboxes)],
        )  # fmt: skip
        held = status in ("claimed", "committing")
        return Message.objects.create(
            tenant=self.tenant, campaign=self.campaign, step=self.step, enrolment=enrolment, contact=self.people[i],
            mailbox=self.mailboxes[i % len(self.mailboxes)], batch=self.batch, status=status, due_at=now(),
            not_after=now() + timedelta(hours=1), day_on=now().date(),
            message_id=f"<{secrets.token_hex(13)}@x.example>",
            claim=uuid.uuid4() if held else None, lease_until=now() + timedelta(minutes=2) if held else None,
            sent_at=now() - timedelta(minutes=i) if status == "sent" else None,
        )  # fmt: skip

    def rest(self) -> None:
        today = datetime.combine(now().date(), datetime.min.time(), UTC)
        for box in self.mailboxes:
            Allowance.objects.create(
                tenant=self.tenant, scope="mailbox_day", key=box.pk, period_start=today, cap=40, reserved=7
            )
            Rotation.objects.create(tenant=self.tenant, mailbox=box, virtual_time=1.5)
        domain, account = self.mailboxes[0].domain, self.mailboxes[0].home
        Standby.objects.create(tenant=self.tenant, domain=domain, account=account, position=1, ready=True)
        AccountMinute.objects.create(tenant=self.tenant, account=account, minute=now(), tries=5, broken=1, total_ms=90)
        plan = RampPlan.objects.create(tenant=self.tenant, name="standard")
        Mailbox.objects.filter(pk=self.mailboxes[-1].pk).update(ramp=plan, ramp_cap=12)
        for n, (kind, reason, sent) in enumerate([("start", "started", 10), ("rise", "used", None)]):
            RampDay.objects.create(
                tenant=self.tenant, mailbox=self.mailboxes[-1], day=now().date() + timedelta(days=n - 1),
                cap=10 + 2 * n, allowed=10 + 2 * n, planned=sent, sent=sent, kind=kind, reason=reason,
            )  # fmt: skip
            DomainRampDay.objects.create(
                tenant=self.tenant, domain=self.mailboxes[-1].domain, day=now().date() + timedelta(days=n - 1),
                cap=50 + 8 * n, allowed=50 + 8 * n, planned=sent, sent=sent, kind=kind, reason=reason,
            )  # fmt: skip
        SendingDomain.objects.filter(pk=self.mailboxes[-1].domain_id).update(ramp=plan, ramp_cap=58)
        QuarantineCase.objects.create(
            tenant=self.tenant, mailbox=self.mailboxes[-1], pool=self.pool, number=1, reason="many bounces",
            evidence={"bounced": 5}, state_before="active", cap=40, swap="promoted", promoted=self.mailboxes[0],
            closed_at=now(), outcome="released",
        )  # fmt: skip
        Retirement.objects.create(
            tenant=self.tenant, mailbox=self.mailboxes[0], pool=self.pool, reason="sold", kept_as="alias",
            keep_until=now().date() + timedelta(days=90), replies_to="late@example.com", threads="stop",
        )  # fmt: skip
        Stop.objects.create(
            tenant=self.tenant, scope="pool", key=self.mailboxes[0].pool_id, label="pool", reason="late list"
        )
        QuotaGroup.objects.get_or_create(name="contoso.example", defaults={"kind": "microsoft", "licences": 25})
        ReceiverDomain.objects.get_or_create(name="example.net", defaults={"operator": "google", "checked_at": now()})
        AllowanceReturn.objects.create(
            tenant=self.tenant, scope="mailbox_day", key=self.mailboxes[0].pk, period_start=today, count=1
        )
        ContactImport.objects.create(
            tenant=self.tenant, contact_list=self.list, file_name="people.csv", by_kind="system", created=18
        )
        brought = ContactImport.objects.get(tenant=self.tenant)
        ImportedContact.objects.create(
            tenant=self.tenant, of=brought, contact_ref=self.people[0].pk, before={"country": ""},
            after={"country": "UA"},
        )  # fmt: skip
        contact_uploads.take(self.tenant, "people.csv", [b"email\na@example.net\n"], actor=SYSTEM, list_name="Fair")
        Canary.objects.create(
            tenant=self.tenant, campaign=self.campaign, state="passed", size=50, hours=24, threshold=0, since=now(),
            held_until=now(), decided_at=now(), sent=50,
        )  # fmt: skip
        Contact.objects.filter(pk=self.people[-1].pk).update(conversation_since=now(), conversation_via="reply")
        BasisRule.objects.create(
            tenant=self.tenant, version=1, country="DE", grounds=[{"basis": "consent", "needs_evidence": True}],
            valid_from=now().date(), reason="Counsel <b>wants</b> proof",
        )  # fmt: skip
        SeedAddress.objects.create(
            tenant=self.tenant, address="inbox@panel.example", address_key="inbox@panel.example", verified_at=now()
        )
        TestSend.objects.create(
            tenant=self.tenant, kind="test", state="sent", campaign=self.campaign, step=self.step,
            contact_ref=self.people[0].pk, mailbox=self.mailboxes[0], seed=SeedAddress.objects.get(tenant=self.tenant),
            hint="i***@panel.example", message_id=f"test.{secrets.token_hex(13)}@x.example", by_kind="system",
            day_on=now().date(), answer="2.0.0 <b>Ok</b>", done_at=now(),
        )  # fmt: skip
        Click.objects.create(
            tenant=self.tenant, campaign=self.campaign, message_ref=self.messages[0].pk, number=0, is_early=False,
            url="https://example.com/?a=<b>&c=1",
        )  # fmt: skip
        Variant.objects.create(tenant=self.tenant, step=self.step, label="A", subject="Hello", text_body="Hello")
        box = self.mailboxes[0]
        done = Import.objects.create(
            tenant=self.tenant, file_name="fleet.csv", file_hash="0" * 64, by_kind="system", updated=1,
            undo_until=now() + timedelta(days=30),
        )  # fmt: skip
        ImportedRow.objects.create(
            tenant=self.tenant, of=done, line=2, mailbox_ref=self.mailboxes[0].pk, is_new=False,
            before=undo.image(box) | {"daily_cap": 30}, after=undo.image(box), digest_after=undo.digest(box),
        )  # fmt: skip
        DomainCheck.objects.create(
            tenant=self.tenant, domain=box.domain, at=now(), level="fail", outcome="failed",
            findings=[found("spf", "fail", "missing", "There is no <b>SPF</b> record.", "Publish one.").as_dict()],
        )  # fmt: skip
        VerifierUse.objects.create(
            tenant=self.tenant, verifier="json_api", day=now().date(), asked=20, answered=18, cost="0.0800",
            currency="EUR",
        )  # fmt: skip
        edit = BulkEdit.objects.create(
            tenant=self.tenant, wish={"daily_cap": 30}, mailbox_ids=[box.pk], by_kind="system", changed=1,
            state="done", done_at=now(), undo_until=now() + timedelta(days=30),
        )  # fmt: skip
        BulkEditRow.objects.create(
            tenant=self.tenant,
            of=edit,
            mailbox_ref=box.pk,
            before={"daily_cap": 30},
            after={"daily_cap": box.daily_cap},
        )
        BulkEdit.objects.create(
            tenant=self.tenant, wish={"daily_cap": 20, "add_tags": ["trial"]}, by_kind="system",
            mailbox_ids=[box.pk for box in self.mailboxes], undo_until=now() + timedelta(days=30),
        )  # fmt: skip
        SignInTest.objects.create(
            tenant=self.tenant, mailbox=box, door="smtp", host="127.0.0.1", import_ref=done.pk, result="refused",
            tries=1, text="535 5.7.8 <script>alert(1)</script>", at=now(),
        )  # fmt: skip
        upload = uploads.take(self.tenant, "fleet.csv", [f"address,smtp_password\n,{CANARY}\n".encode()], actor=SYSTEM)
        refused = {"line": 2, "verdict": "refused", "subject": "x", "reasons": ["line 2, address: is empty"]}
        Upload.objects.filter(pk=upload.pk).update(
            state="ready", preview={"counts": {"new": 0, "changed": 0, "unchanged": 0, "refused": 1, "read": 1},
                                    "rows": {"new": [], "changed": [], "refused": [refused]}},
        )  # fmt: skip
        Attempt.objects.create(
            tenant=self.tenant, message_ref=self.messages[4].pk, mailbox_ref=self.mailboxes[0].pk, at=now(),
            phase="rcpt", code=450, enhanced="4.7.1", text="<script>alert(1)</script> try later", result="deferred",
        )  # fmt: skip
        PlanRun.objects.create(
            tenant=self.tenant, started_at=now(), finished_at=now(), seconds=0.1, planned=18, looked_at=20,
            refused={"suppressed": 2}, limits={"mailbox_day": 1},
        )  # fmt: skip
        suppression.suppress(
            self.tenant, ["gone@example.net", "bad.example"], actor=SYSTEM, reason="manual", via="test",
            suppression_list=suppression_lists.create(self.tenant, "Customers", kind="customers", actor=SYSTEM),
        )  # fmt: skip
        BreakGlass.objects.create(
            tenant=self.tenant, user=factories.user(is_superuser=True), reason="Bounces on the night shift",
            until=now() + timedelta(minutes=30),
        )  # fmt: skip
        members.grant(factories.user(), "client_viewer", self.tenant.pk, actor=SYSTEM)
        api_keys.issue(self.tenant, "Their shop", ["campaigns.view"], actor=SYSTEM, ranges=["192.0.2.0/24"])
        invitations.invite("new@example.net", "client_viewer", self.tenant.pk, actor=SYSTEM)
        Approval.objects.create(
            tenant=self.tenant, act="campaign.launch", subject="campaigns.Campaign", subject_id=self.campaign.pk,
            terms={"contacts": 18}, reason="The fair is next week", expires_at=now() + timedelta(days=3),
        )  # fmt: skip
        Lease.objects.get_or_create(name="cron", defaults={"holder": uuid.uuid4(), "until": now()})


@pytest.fixture
def world(db) -> World:
    return World()


@pytest.fixture
def second_world(world) -> World:
    return World(people=9)


@pytest.fixture
def everything(world, chief) -> World:
    """The world, and rows of other people's models."""
    from axes.models import AccessAttempt, AccessLog

    sheet = RecoverySheet(user=chief, name="Sheet", hashes=[hashed(chief.pk, "canarycode")])
    sheet.save()
    common = {
        "username": "x@example.com",
        "ip_address": "127.0.0.1",
        "user_agent": "curl",
        "path_info": "/console/login/",
    }
    AccessAttempt.objects.create(**common, get_data="", post_data="password=canary-post", failures_since_start=2)
    AccessLog.objects.create(**common)
    return world
