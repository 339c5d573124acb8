"""Rows for tests, made in bulk: a tenant, its fleet, its people, a campaign.

Plain functions that return saved objects. Every name is unique within a test run, so that
two calls never collide; whatever a test is about, it passes by keyword.
"""

from __future__ import annotations

import base64
import itertools
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection

from campaigns.models import Campaign, Contact, ContactList, ListEntry, Step
from campaigns.services import contacts
from mailboxes.models import Mailbox, Pool, ProviderAccount, SendingDomain
from outreach.common import providers
from outreach.common.addresses import domain_of
from outreach.common.hashing import Hasher
from outreach.common.sealing import Keyring
from tenants.models import ApprovalPolicy, ChecklistEntry, Tenant, TenantRecord, User
from tenants.services import tenants

PASSWORD = "made-up sign-in"  # of every mailbox made here
RECORD = {
    "legal_name": "Example Trading Ltd",
    "register_number": "HRB 1",
    "country": "UA",
    "privacy_url": "https://example.com/privacy",
    **{f"{who}_name": "Olena Bondar" for who in ("owner", "billing", "abuse", "data_protection")},
    **{f"{who}_email": f"{who}@example.com" for who in ("owner", "billing", "abuse", "data_protection")},
    "contract_signed_on": date(2026, 1, 2),
    "dpa_signed_on": date(2026, 1, 2),
    "authority_letter_on": date(2026, 1, 3),
    "allowed_countries": ["UA", "US"],
    "allowed_bases": ["consent"],
    "contracted_volume": 100_000,
}
_numbers = itertools.count(1)


def _next() -> int:
    return next(_numbers)


def hasher() -> Hasher:
    """The hasher that the program itself uses."""
    return Hasher(base64.b64decode(settings.HASH_KEY))


def seal_password(tenant_id: int, seal_ref: uuid.UUID, password: str = PASSWORD) -> bytes:
    """A mailbox password as it stands in the database."""
    place = (str(tenant_id), "mailboxes.Mailbox", str(seal_ref), "smtp_password")
    return Keyring.parse(settings.CREDENTIAL_KEYS).seal(password.encode(), place)


def user(email: str = "", **changes: Any) -> User:
    """A person with the password PASSWORD; is_staff makes an analyst, is_superuser a platform admin."""
    return User.objects.create_user(email or f"person{_next()}@console.example", PASSWORD, **changes)


ALONE: dict[str, Any] = {
    "launch_above": None,
    "cap_above": None,
    "export_above": None,
    "release": False,
    "lift": False,
    "account": False,
    "bases": False,
}


def tenant(**changes: Any) -> Tenant:
    """An active tenant in UTC with a green checklist, so that its campaigns may start; one person may do everything."""
    n = _next()
    fields = {
        "slug": f"tenant-{n}",
        "name": f"Tenant {n}",
        "time_zone": "UTC",
        "postal_address": f"{n} Example Street, 01001 Kyiv, Ukraine",
        "frequency_person": None,
    }
    made = Tenant.objects.create(**{"pk": tenants.reserve_id()} | fields | changes)
    TenantRecord.objects.create(tenant=made, **RECORD)
    ApprovalPolicy.objects.create(tenant=made, **ALONE)
    ChecklistEntry.objects.create(tenant=made, key="provenance", state="done", done_on=date(2026, 1, 5))
    return made


def pool(owner: Tenant, **changes: Any) -> Pool:
    """An empty pool."""
    return Pool.objects.create(**{"tenant": owner, "name": f"Pool {_next()}"} | changes)


def domain(owner: Tenant, **changes: Any) -> SendingDomain:
    """A verified sending domain without an hourly cap."""
    fields = {"tenant": owner, "name": f"sender{_next()}.example", "state": "verified"}
    return SendingDomain.objects.create(**fields | changes)


def account(owner: Tenant, *, host: str = "127.0.0.1", port: int = 2525, **changes: Any) -> ProviderAccount:
    """A submission server on loopback without TLS for mail of every basis; the same one again for the same place."""
    fields = {"tenant": owner, "kind": "smtp", "host": host, "port": port, "security": "none"}
    fields |= {"allowed_bases": list(Contact.Basis.values)} | changes
    key = {name: fields.pop(name) for name in ("tenant", "kind", "host", "port", "security")}
    return ProviderAccount.objects.get_or_create(**key, defaults=fields)[0]


def fleet(
    owner: Tenant,
    mailboxes: int = 40,
    host: str = "127.0.0.1",
    port: int = 2525,
    *,
    pool: Pool | None = None,
    domains: int = 4,
    home: ProviderAccount | None = None,
    each: Callable[[int], dict[str, Any]] | None = None,
    **changes: Any,
) -> list[Mailbox]:
    """Active mailboxes of one pool over some domains: cap 1000, gap 0, password PASSWORD.

    `changes` go to all of them; `each(i)` gives the changes of the i-th, from 0.
    """
    n = _next()
    pool = pool or globals()["pool"](owner)
    home = home or account(owner, host=host, port=port)
    names = SendingDomain.objects.bulk_create(
        SendingDomain(tenant=owner, name=f"fleet{n}-{d}.example", state="verified")
        for d in range(max(1, min(domains, mailboxes)))
    )
    keyring = Keyring.parse(settings.CREDENTIAL_KEYS)
    rows = []
    for i in range(mailboxes):
        sender = names[i % len(names)]
        address = f"box{i}@{sender.name}"
        seal_ref = uuid.uuid4()
        place = (str(owner.pk), "mailboxes.Mailbox", str(seal_ref), "smtp_password")
        fields = {
            "pool": pool,
            "domain": sender,
            "home": home,
            "address": address,
            "address_key": address,
            "display_name": f"Sender {i}",
            "username": address,
            "seal_ref": seal_ref,
            "sealed_password": keyring.seal(PASSWORD.encode(), place),
            "daily_cap": 1000,
            "min_gap_seconds": 0,
        }
        rows.append(Mailbox(tenant=owner, **fields | changes | (each(i) if each else {})))
    return Mailbox.objects.bulk_create(rows, batch_size=1000)


def mailbox(owner: Tenant, **changes: Any) -> Mailbox:
    """One mailbox, with a pool, a domain and an account of its own unless they are given."""
    return fleet(owner, 1, **changes)[0]


def answers(**changes: Any) -> dict[str, Any]:
    """What retiring a mailbox wants to know: its address stays for a year, threads that would wait end."""
    until = datetime.now(UTC).date() + timedelta(days=365)
    return {"kept_as": "alias", "keep_until": until, "replies_to": "late@example.com", "threads": "stop"} | changes


def contact_list(owner: Tenant, **changes: Any) -> ContactList:
    """An empty list."""
    return ContactList.objects.create(**{"tenant": owner, "name": f"List {_next()}"} | changes)


def people(
    owner: Tenant,
    contact_list: ContactList | None,
    n: int = 10,
    *,
    domain: str = "",
    each: Callable[[int], dict[str, Any]] | None = None,
    **changes: Any,
) -> list[Contact]:
    """n contacts with consent as their basis, entered in the list (None: in none), in the order of the list.

    Addresses are person0@..., person1@... of `domain` or of a domain made up here. An `email` from
    `changes` or `each(i)` is taken as it is and must be in normal form.
    """
    domain = domain or f"people{_next()}.example"
    hashes = hasher()
    wide: dict[str, list[bytes]] = {}
    rows = []
    for i in range(n):
        fields = {
            "email": f"person{i}@{domain}",
            "first_name": f"First{i}",
            "last_name": f"Last{i}",
            "company": f"Company {i}",
            "country": "UA",
            "time_zone": "",
            "person_kind": "corporate_named",
            "source": "fair in Kyiv, badge scan",
            "lawful_basis": "consent",
            "basis_date": date(2026, 1, 2),
            "basis_evidence": f"badge {i}",
            "validity": "valid",
        }
        fields |= changes | (each(i) if each else {})
        key = fields.setdefault("email_key", fields["email"])
        fields["address_hash"] = hashes.address(key)
        fields.setdefault("company_domain", providers.company_domain(domain_of(key)))
        name = domain_of(key)
        if name not in wide:
            wide[name] = contacts.domain_hashes(hashes, name)
        fields["domain_hashes"] = wide[name]
        rows.append(Contact(tenant=owner, **fields))
    Contact.objects.bulk_create(rows, batch_size=5000)
    if contact_list is not None:
        entries = (ListEntry(tenant=owner, contact_list=contact_list, contact=row) for row in rows)
        ListEntry.objects.bulk_create(entries, batch_size=5000)
    return rows


def step(campaign: Campaign, **changes: Any) -> Step:
    """One message of a campaign, with a greeting, text and html."""
    fields = {
        "tenant_id": campaign.tenant_id,
        "campaign": campaign,
        "position": 1,
        "subject": "A question about {{ company }}",
        "text_body": "Hello {{ first_name }},\n\nmay I ask you something?\n",
        "html_body": "<p>Hello {{ first_name }},</p><p>may I ask you something?</p>",
    }
    return Step.objects.create(**fields | changes)


def campaign(
    owner: Tenant,
    pool: Pool | None = None,
    contact_list: ContactList | None = None,
    *,
    steps: int = 1,
    subject: str | None = None,
    text_body: str | None = None,
    html_body: str | None = None,
    **changes: Any,
) -> Campaign:
    """A draft campaign with its steps, open all day in UTC, sent promptly: campaigns.start() may follow."""
    fields = {
        "tenant": owner,
        "name": f"Campaign {_next()}",
        "pool": pool,
        "contact_list": contact_list,
        "window_from": "00:00",
        "window_until": "00:00",
        "window_zone": "UTC",
        "pace": "prompt",
        "batch_size": 100,
        "holidays": False,
        "canary": False,
    }
    made = Campaign.objects.create(**fields | changes)
    texts = {"subject": subject, "text_body": text_body, "html_body": html_body}
    texts = {name: text for name, text in texts.items() if text is not None}
    for position in range(1, steps + 1):
        step(made, position=position, **texts)
    return made


def receiver_key(organisational: str, operator: str) -> int:
    """The number that stands for a sending domain's mail to an operator in the allowances."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT hashtextextended(%s || ' ' || %s, 0)", [organisational, operator])
        return cursor.fetchone()[0]
