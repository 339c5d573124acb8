"""The gate in SQL and the pure function are one; the contract, the way out, and the census of a list."""

from __future__ import annotations

import random
from collections import Counter
from datetime import date, timedelta

import pytest
from django.db import connection

from campaigns.bases import TERMS, Allowed
from campaigns.models import BasisRule, Contact
from campaigns.pipeline import bases
from campaigns.pipeline.census import census
from tenants.models import Tenant, TenantRecord
from tenants.services import records
from tests import factories

pytestmark = pytest.mark.django_db
DAY = date(2026, 12, 1)
COUNTRIES = ("", "DE", "FR", "GB", "NL", "BE", "CA", "US", "RU", "UA", "IT", "SE", "JP", "de")
REFUSALS = "SELECT ct.id, {} FROM campaigns_contact ct WHERE ct.tenant_id = %(tenant)s".format(bases.REFUSAL)  # noqa: S608, UP032


@pytest.fixture
def tenant():
    return agreed(factories.tenant(), countries=[code for code in COUNTRIES if code.isupper()])


def agreed(tenant, *, countries, allowed=tuple(Contact.Basis.values)):
    """What its contract names."""
    TenantRecord.objects.filter(tenant=tenant).update(allowed_countries=list(countries), allowed_bases=list(allowed))
    return tenant


def anybody(chance: random.Random) -> dict:
    """Somebody with any country, kind, basis, statements and dates; dates lie near the ends that rules know."""
    since = DAY - timedelta(days=chance.choice([0, 1, 30, 182, 183, 184, 185, 365, 729, 730, 731, 732, -1, 2000]))
    until = chance.choice([None, None, None, DAY, DAY - timedelta(days=1), DAY + timedelta(days=9)])
    return {
        "country": chance.choice(COUNTRIES),
        "person_kind": chance.choice(Contact.PersonKind.values),
        "lawful_basis": chance.choice(Contact.Basis.values),
        "basis_terms": chance.sample([*TERMS, "made_up"], chance.choice([0, 0, 1, 1, 2, 6])),
        "basis_date": since,
        "basis_expires_on": until,
        "basis_evidence": chance.choice(["", "  ", "form 12", "badge"]),
        "collected_directly": chance.random() < 0.3,
    }


def crowd(tenant, n, seed, contact_list=None):
    chance = random.Random(seed)
    return factories.people(tenant, contact_list, n, each=lambda i: anybody(chance))


def refusals(tenant, day=DAY):
    """{contact id: reason or None}, as the planner's SQL has it."""
    with connection.cursor() as cursor:
        bases.prepare(cursor, tenant.pk, day)
        cursor.execute(REFUSALS, {"tenant": tenant.pk, "day": day})
        return dict(cursor.fetchall())


def judged(tenant, people, day=DAY):
    """The same, as the pure function has it."""
    with connection.cursor() as cursor:
        table = bases.prepare(cursor, tenant.pk, day)
    record = records.of(tenant)
    return {person.pk: bases.gate_of(bases.judge(person, table, record, day)) for person in people}


def own(tenant, version, country, kind, grounds, since=date(2026, 1, 1)):
    BasisRule.objects.create(
        tenant=tenant, version=version, country=country, person_kind=kind, grounds=grounds, valid_from=since,
        reason="Counsel",
    )  # fmt: skip


def test_sql_and_the_pure_function_agree_on_thousands_of_people(tenant):
    agreed(tenant, countries=[code for code in COUNTRIES if code.isupper() and code != "JP"])
    own(tenant, 1, "FR", "individual", [])
    own(tenant, 2, "IT", "", [{"basis": "opt_out", "terms": ["business", "enquiry"], "max_months": 6}])
    own(tenant, 3, "UA", "corporate_named", [{"basis": "opt_out", "needs_evidence": True}])
    own(tenant, 4, "", "corporate_generic", [{"basis": "consent"}, {"basis": "opt_out", "max_months": 1}])
    own(tenant, 5, "DE", "", [], since=date(2027, 1, 1))
    people = crowd(tenant, 6000, "people")

    assert refusals(tenant) == judged(tenant, people)
    counts = Counter(judged(tenant, people).values())
    assert min(counts[reason] for reason in (None, "basis_country", "basis_contract", "basis_expired")) > 300

    later = date(2027, 1, 1)
    assert refusals(tenant, later) == judged(tenant, people, later)


def test_both_agree_without_a_postal_address_and_without_a_contract(tenant):
    people = crowd(tenant, 1500, "bare")
    Tenant.objects.filter(pk=tenant.pk).update(postal_address=" ")
    tenant.refresh_from_db()
    assert refusals(tenant) == judged(tenant, people)
    assert (
        refusals(tenant)[next(p.pk for p in people if p.country == "US" and not p.basis_expires_on)] == "basis_country"
    )

    TenantRecord.objects.filter(tenant=tenant).delete()
    assert refusals(tenant) == judged(tenant, people)
    assert set(refusals(tenant).values()) == {"basis_contract", "basis_expired"}


@pytest.mark.parametrize(
    ("countries", "allowed", "reason"),
    [
        (["DE"], ["consent"], None),
        (["FR"], ["consent"], "basis_contract"),
        (["DE"], ["opt_out"], "basis_contract"),
        ([], ["consent"], "basis_contract"),
        (["DE"], [], "basis_contract"),
    ],
)
def test_the_contract_has_to_name_country_and_basis(tenant, countries, allowed, reason):
    agreed(tenant, countries=countries, allowed=allowed)
    (person,) = factories.people(tenant, None, 1, country="DE")
    assert refusals(tenant) == judged(tenant, [person]) == {person.pk: reason}


def test_a_country_without_a_row_has_the_strictest_one(tenant):
    proven, bare = factories.people(tenant, None, 2, each=lambda i: {"basis_evidence": "" if i else "form 3"})
    assert refusals(tenant) == {proven.pk: None, bare.pk: "basis_country"}


# --- The way out ---------------------------------------------------------------------------------------------------


def by_pool(*pools):
    with connection.cursor() as cursor:
        return bases.allowed_by_pool(cursor, [pool.pk for pool in pools])


def test_a_pool_carries_what_all_its_accounts_allow(tenant):
    first = factories.account(tenant, port=2601, allowed_bases=["consent", "existing_customer", "opt_out"])
    second = factories.account(tenant, port=2602, allowed_bases=["consent", "opt_out"])
    third = factories.account(tenant, port=2603, allowed_bases=[])
    wide, narrow, none, resting, empty = (factories.pool(tenant) for _ in range(5))
    factories.fleet(tenant, 3, pool=wide, home=first)
    for pool in (narrow, none):
        factories.fleet(tenant, 2, pool=pool, home=first)
        factories.fleet(tenant, 1, pool=pool, home=second)
    factories.mailbox(tenant, pool=none, home=third)
    factories.mailbox(tenant, pool=narrow, home=third, state="retired")
    factories.fleet(tenant, 2, pool=resting, home=first)
    factories.mailbox(tenant, pool=resting, home=third, state="quarantined")  # it may come back

    assert by_pool(wide, narrow, none, resting, empty) == {
        wide.pk: {"consent", "existing_customer", "opt_out"},
        narrow.pk: {"consent", "opt_out"},
        none.pk: set(),
        resting.pk: set(),
        empty.pk: set(),
    }
    assert bases.of_pool(narrow.pk) == {"consent", "opt_out"}
    assert by_pool() == {}


def test_a_mailbox_on_hold_for_a_moment_does_not_widen_its_pool(tenant):
    pool = factories.pool(tenant)
    factories.mailbox(tenant, pool=pool, home=factories.account(tenant, port=2601))
    factories.mailbox(
        tenant, pool=pool, home=factories.account(tenant, port=2602, allowed_bases=["consent"]), hold="locked"
    )
    assert by_pool(pool) == {pool.pk: {"consent"}}


# --- The census ----------------------------------------------------------------------------------------------------


def test_a_census_counts_what_the_gate_says_of_each(tenant):
    listed = factories.contact_list(tenant)
    people = crowd(tenant, 3000, "census", listed)
    crowd(tenant, 50, "elsewhere", factories.contact_list(tenant))

    expected: Counter = Counter()
    for person in people:
        expected[person.country, person.person_kind, person.lawful_basis, refusals_of(tenant)[person.pk]] += 1
    rows = census(listed, tenant, DAY)
    found: Counter = Counter()
    for row in rows:
        found[row.country, row.person_kind, row.basis, row.gate] += row.people
    assert found == expected
    assert all((row.gate is None) == (row.refused is None) for row in rows)
    assert rows == sorted(rows, key=lambda row: -row.people)
    eea = ("", "DE", "FR", "GB", "NL", "BE", "IT", "SE")
    told = sum(1 for person in people if person.country in eea and not person.collected_directly)
    assert sum(row.to_notify for row in rows) == told


_KEPT: dict = {}


def refusals_of(tenant):
    if tenant.pk not in _KEPT:
        _KEPT[tenant.pk] = refusals(tenant)
    return _KEPT[tenant.pk]


def test_a_census_names_the_way_out_that_allows_too_little(tenant):
    listed = factories.contact_list(tenant)
    factories.people(tenant, listed, 3, country="US", lawful_basis="opt_out")
    factories.people(tenant, listed, 5, country="DE")
    factories.people(tenant, listed, 2, country="FR", lawful_basis="opt_out")

    rows = census(listed, tenant, DAY, route={"consent"})
    assert [(row.country, row.people, row.gate) for row in rows] == [
        ("DE", 5, None),
        ("US", 3, "basis_route"),
        ("FR", 2, "basis_country"),
    ]
    assert "Not every account that the pool sends by" in rows[1].refused.sentence
    assert rows[2].refused.reason == "basis_terms"
    assert [row.gate for row in census(listed, tenant, DAY)] == [None, None, "basis_country"]


def test_a_census_puts_different_days_of_one_reason_together(tenant):
    listed = factories.contact_list(tenant)
    each = lambda i: {"basis_expires_on": DAY - timedelta(days=1 + i)}  # noqa: E731
    factories.people(tenant, listed, 4, country="DE", each=each)
    (row,) = census(listed, tenant, DAY)
    assert (row.people, row.gate, row.refused.reason) == (4, "basis_expired", "basis_expired")


def test_one_person_is_judged_with_sentence_and_last_day(tenant):
    (person,) = factories.people(
        tenant, None, 1, country="CA", lawful_basis="implied_consent", basis_terms=["enquiry"],
        basis_date=date(2026, 11, 1),
    )  # fmt: skip
    with connection.cursor() as cursor:
        table = bases.prepare(cursor, tenant.pk, DAY)
    found = bases.judge(person, table, records.of(tenant), DAY, route={"implied_consent"})
    assert isinstance(found, Allowed)
    assert found.until == date(2027, 5, 1)
    held = bases.judge(person, table, records.of(tenant), DAY, route={"consent"})
    assert bases.gate_of(held) == "basis_route"
