"""The country table, written out a second time by hand: who may be written to, and who is held."""

from __future__ import annotations

from datetime import date

import pytest

from campaigns import bases
from campaigns.bases import Allowed, Refused
from campaigns.basis_table import DEFAULTS, needs_source_notice, version_on
from campaigns.models import Contact

DAY = date(2026, 12, 1)
FRESH = date(2026, 11, 20)
CONSENT, CUSTOMER, INTEREST, IMPLIED, OPT_OUT = Contact.Basis.values
NAMED, GENERIC, INDIVIDUAL = Contact.PersonKind.values
ANY = (NAMED, GENERIC, INDIVIDUAL)
CONSENT_ONLY = (
    *("AT", "DK", "IT", "PL", "ES", "CH"),
    *("BG", "CY", "CZ", "EE", "GR", "HR", "HU", "IS", "LI", "LT", "LU", "LV", "MT", "NO", "PT", "RO", "SE", "SI", "SK"),
)
STRICTEST = ("RU", "", "UA", "BR", "JP", "XX")  # Russia, unknown, and some that have no row

# (countries, kinds, basis) -> the statements of which each one alone is enough; "" stands for none needed.
# Whatever is not in here is refused. "proof": only with evidence.
ALLOWED = {
    **{(c, k, CONSENT): {"proof"} for c in STRICTEST for k in ANY},
    **{(c, k, CONSENT): {""} for c in CONSENT_ONLY for k in ANY},
    **{("DE", k, CONSENT): {""} for k in ANY},
    **{("DE", k, CUSTOMER): {"uwg_7_3"} for k in ANY},
    **{("BE", k, CONSENT): {""} for k in ANY},
    ("BE", GENERIC, CUSTOMER): {""},
    ("BE", GENERIC, INTEREST): {""},
    ("BE", GENERIC, OPT_OUT): {""},
    **{("NL", k, CONSENT): {""} for k in ANY},
    ("NL", NAMED, CUSTOMER): {"published_for_purpose"},
    ("NL", NAMED, INTEREST): {"published_for_purpose"},
    ("NL", NAMED, OPT_OUT): {"published_for_purpose"},
    ("NL", GENERIC, CUSTOMER): {"published_for_purpose"},
    ("NL", GENERIC, INTEREST): {"published_for_purpose"},
    ("NL", GENERIC, OPT_OUT): {"published_for_purpose"},
    **{(c, k, CONSENT): {""} for c in ("FR", "IE", "FI", "GB") for k in ANY},
    **{
        (c, k, b): {"job_related"}
        for c in ("FR", "IE", "FI", "GB")
        for k in (NAMED, GENERIC)
        for b in (CUSTOMER, INTEREST, OPT_OUT)
    },
    **{("CA", k, CONSENT): {""} for k in ANY},
    **{("CA", k, IMPLIED): {"business", "enquiry"} for k in ANY},
    **{("US", k, b): {""} for k in ANY for b in (CONSENT, CUSTOMER, INTEREST, IMPLIED, OPT_OUT)},
}
COUNTRIES = (*STRICTEST, *CONSENT_ONLY, "DE", "BE", "NL", "FR", "IE", "FI", "GB", "CA", "US")
STATEMENTS = ("", "uwg_7_3", "job_related", "published_for_purpose", "business", "enquiry")


def judged(country, kind, basis, *terms, since=FRESH, until=None, day=DAY, proof=False, **more):
    return bases.verdict(country, kind, basis, terms, since, until, day, evidence=proof, **more)


@pytest.mark.parametrize("country", COUNTRIES)
def test_a_country_lets_through_what_its_row_says_and_nothing_else(country):
    wrong = []
    for kind in ANY:
        for basis in Contact.Basis.values:
            enough = ALLOWED.get((country, kind, basis), set())
            for statement in STATEMENTS:
                for proof in (False, True):
                    given = (statement,) if statement else ()
                    expected = bool(enough & {"", statement}) if enough != {"proof"} else proof
                    found = judged(country, kind, basis, *given, proof=proof)
                    if isinstance(found, Allowed) is not expected:
                        wrong.append((kind, basis, statement, proof, found))
    assert wrong == []


def test_the_row_of_unknown_countries_is_as_strict_as_every_other():
    table = bases.table_of(DEFAULTS[-1])
    for (country, kind), cell in table.cells.items():
        for ground in table.grounds("", kind):
            looked = [one for one in cell.grounds if bases.covers(one, ground)]
            assert looked, f"{country} {kind} refuses somebody whom the row of unknown countries lets through"


@pytest.mark.parametrize(
    ("statement", "since", "day", "passes"),
    [
        ("business", date(2025, 1, 31), date(2027, 1, 31), True),
        ("business", date(2025, 1, 31), date(2027, 2, 1), False),
        ("enquiry", date(2026, 5, 20), date(2026, 11, 20), True),
        ("enquiry", date(2026, 5, 20), date(2026, 11, 21), False),
        ("enquiry", date(2026, 8, 31), date(2027, 2, 28), True),  # a month without a 31st ends on its last day
        ("enquiry", date(2026, 8, 31), date(2027, 3, 1), False),
    ],
)
def test_implied_consent_in_canada_ends_by_itself(statement, since, day, passes):
    found = judged("CA", NAMED, IMPLIED, statement, since=since, day=day)
    assert isinstance(found, Allowed) is passes
    assert found.until == day if passes else found.reason == "basis_too_old"


def test_the_longer_of_two_statements_counts_and_the_earlier_of_two_ends():
    both = judged("CA", NAMED, IMPLIED, "business", "enquiry", since=date(2026, 1, 10))
    assert both.until == date(2028, 1, 10)
    ended = judged("CA", NAMED, IMPLIED, "business", since=date(2026, 1, 10), until=date(2026, 12, 24))
    assert ended.until == date(2026, 12, 24)


def test_a_basis_that_has_ended_or_not_begun_is_none_in_any_country():
    for country in COUNTRIES:
        ended = judged(country, NAMED, CONSENT, until=date(2026, 11, 30), proof=True)
        early = judged(country, NAMED, CONSENT, since=date(2026, 12, 2), proof=True)
        assert (ended.reason, early.reason) == ("basis_expired", "basis_not_yet")
        assert isinstance(judged(country, NAMED, CONSENT, since=DAY, until=DAY, proof=True), Allowed)


@pytest.mark.parametrize(
    ("asked", "reason", "words"),
    [
        (("FR", INDIVIDUAL, OPT_OUT), "basis_other", "opt-out rule of the country is no ground for mail"),
        (("FR", NAMED, OPT_OUT), "basis_terms", "only with: related to the person's job"),
        (("DE", NAMED, CUSTOMER), "basis_terms", "only with: all four conditions of UWG 7(3)"),
        (("DE", NAMED, INTEREST, "uwg_7_3"), "basis_other", "legitimate interest is no ground"),
        (("RU", NAMED, CONSENT), "basis_evidence", "In RU the sender has to be able to prove it"),
        (("", NAMED, CONSENT), "basis_evidence", "In an unknown country"),
        (("CA", NAMED, IMPLIED), "basis_terms", "implied consent is enough in CA only with"),
        (("CA", NAMED, CUSTOMER), "basis_other", "existing customer is no ground"),
    ],
)
def test_a_refusal_says_what_is_missing_and_what_would_do(asked, reason, words):
    country, kind, basis, *terms = asked
    found = judged(country, kind, basis, *terms)
    assert (found.reason, words in found.sentence, bool(found.remedy)) == (reason, True, True)


def test_an_expired_refusal_tells_its_day():
    found = judged("DE", NAMED, CONSENT, until=date(2026, 11, 30))
    assert found.told == "The basis has ended (2026-11-30). Get a new one."


def test_mail_to_the_united_states_needs_a_postal_address():
    table = bases.table_of(DEFAULTS[-1], has_postal_address=False)
    for basis in Contact.Basis.values:
        assert judged("US", NAMED, basis, table=table).reason == "basis_address"
    assert isinstance(judged("DE", NAMED, CONSENT, table=table), Allowed)


def test_a_kind_that_there_is_not_is_refused():
    assert judged("DE", "robot", CONSENT, proof=True).reason == "basis_none"


def test_every_country_of_the_eea_has_a_row_of_its_own():
    table = bases.table_of(DEFAULTS[-1])
    eea = (*CONSENT_ONLY, "DE", "BE", "NL", "FR", "IE", "FI")
    eea = [code for code in eea if code != "CH"]
    assert len(eea) == 30
    assert set(table.countries) == {*eea, "GB", "CH", "US", "CA", "RU", ""}
    assert [code for code in (*eea, "GB", "") if not needs_source_notice(code)] == []
    assert [code for code in ("US", "CA", "RU", "CH", "UA") if needs_source_notice(code)] == []


def test_what_was_not_read_is_marked():
    table = bases.table_of(DEFAULTS[-1])
    checked = {country for (country, _kind), cell in table.cells.items() if cell.origin.checked}
    assert checked == {"DE", "RU", "AT", "DK", "IT", "BE", "NL", "FR", "IE", "FI", "CA", "US"}


def test_versions_follow_each_other_and_days_before_the_first_have_it_too():
    assert [version.number for version in DEFAULTS] == list(range(1, len(DEFAULTS) + 1))
    assert [version.since for version in DEFAULTS] == sorted({version.since for version in DEFAULTS})
    assert version_on(date(2020, 1, 1)).number == 1
    assert version_on(DEFAULTS[-1].since) is DEFAULTS[-1]


def test_the_names_are_those_of_the_contact():
    assert list(bases.BASES) == Contact.Basis.values
    assert tuple(Contact.PersonKind.values) == bases.KINDS
    assert {term for version in DEFAULTS for row in version.rows for g in row.grounds for term in g.terms} == set(
        bases.TERMS
    )


def test_refusals_that_differ_in_their_day_only_are_alike():
    assert Refused("basis_expired", "x", "y", date(2026, 1, 1)) == Refused("basis_expired", "x", "y", date(2026, 1, 2))
