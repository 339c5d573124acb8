"""On what ground people of each country may be written to: the defaults, as versions.

Where a rule was read, `checked` is true; the others are from memory and to be confirmed by counsel. A version is
never edited: the next one is added below it with the day from which it holds. A tenant's own rules
(campaigns.services.bases) come before these.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

CONSENT, CUSTOMER, INTEREST = "consent", "existing_customer", "legitimate_interest"
IMPLIED, OPT_OUT = "implied_consent", "opt_out"
NAMED, GENERIC, INDIVIDUAL = "corporate_named", "corporate_generic", "individual"
KINDS = (NAMED, GENERIC, INDIVIDUAL)
CORPORATE = (NAMED, GENERIC)

EU = frozenset(
    "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK".split()  # noqa: SIM905
)
EEA = EU | {"IS", "LI", "NO"}
OTHERS = ""  # the row of every country that has none, and of people whose country nobody knows

OWED_NOTICE = EEA | {"GB", OTHERS}


@dataclass(frozen=True, slots=True)
class Ground:
    """One way in which somebody may be written to: this basis, with all of these.

    `terms` must be among the contact's statements (Contact.basis_terms); the basis is good for `max_months` from its
    date on, None: without end; `needs_evidence`: somebody has to be able to prove it; `postal_address`: the sender's
    has to stand in the message.
    """

    basis: str
    terms: frozenset[str] = frozenset()
    max_months: int | None = None
    needs_evidence: bool = False
    postal_address: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """What holds in some countries for some kinds of people."""

    countries: tuple[str, ...]
    kinds: tuple[str, ...]
    grounds: tuple[Ground, ...]
    source: str
    checked: bool = False


@dataclass(frozen=True, slots=True)
class Version:
    """A whole table and the first day of its own."""

    number: int
    since: date
    rows: tuple[Row, ...]


def _ground(basis: str, *terms: str, months: int | None = None, proof: bool = False, address: bool = False) -> Ground:
    return Ground(basis, frozenset(terms), months, proof, address)


_CONSENT = _ground(CONSENT)
# Without consent, but with a ground that the law of the country leaves open; a consent that is only implied is none.
_JOB = tuple(_ground(basis, "job_related") for basis in (CUSTOMER, INTEREST, OPT_OUT))
_EXEMPT = tuple(_ground(basis) for basis in (CUSTOMER, INTEREST, OPT_OUT))
_PUBLISHED = tuple(_ground(basis, "published_for_purpose") for basis in (CUSTOMER, INTEREST, OPT_OUT))
_E_PRIVACY = "Directive 2002/58/EC art. 13 as the country has it"

DEFAULTS = (
    Version(
        1,
        date(2026, 11, 1),
        (
            Row((OTHERS,), KINDS, (_ground(CONSENT, proof=True, address=True),), "the strictest of every row below"),
            Row(("RU",), KINDS, (_ground(CONSENT, proof=True),), "38-FZ art. 18(1)", True),
            Row(("DE",), KINDS, (_CONSENT, _ground(CUSTOMER, "uwg_7_3")), "UWG 7(2), 7(3)", True),
            Row(("AT",), KINDS, (_CONSENT,), "TKG 2021 174(3)", True),
            Row(("DK",), KINDS, (_CONSENT,), "Markedsføringsloven 10", True),
            Row(("IT",), KINDS, (_CONSENT,), "D.lgs. 196/2003 art. 130", True),
            Row(("PL",), KINDS, (_CONSENT,), "Prawo komunikacji elektronicznej art. 398"),
            Row(("ES",), KINDS, (_CONSENT,), "LSSI art. 21"),
            Row(("CH",), KINDS, (_CONSENT,), "UWG 3(1)(o)"),
            Row(("BE",), (NAMED, INDIVIDUAL), (_CONSENT,), "CEL XII.13", True),
            Row(("BE",), (GENERIC,), (_CONSENT, *_EXEMPT), "CEL XII.13; royal decree of 4 April 2003", True),
            Row(("NL",), CORPORATE, (_CONSENT, *_PUBLISHED), "Telecommunicatiewet 11.7", True),
            Row(("NL",), (INDIVIDUAL,), (_CONSENT,), "Telecommunicatiewet 11.7", True),
            Row(("FR",), CORPORATE, (_CONSENT, *_JOB), "CPCE L34-5; CNIL on prospecting of professionals", True),
            Row(("FR",), (INDIVIDUAL,), (_CONSENT,), "CPCE L34-5", True),
            Row(("IE",), CORPORATE, (_CONSENT, *_JOB), "S.I. 336/2011 reg. 13", True),
            Row(("IE",), (INDIVIDUAL,), (_CONSENT,), "S.I. 336/2011 reg. 13", True),
            Row(("FI",), CORPORATE, (_CONSENT, *_JOB), "Act 917/2014 s. 200, 202", True),
            Row(("FI",), (INDIVIDUAL,), (_CONSENT,), "Act 917/2014 s. 200", True),
            Row(("GB",), CORPORATE, (_CONSENT, *_JOB), "PECR reg. 22, corporate subscribers"),
            Row(("GB",), (INDIVIDUAL,), (_CONSENT,), "PECR reg. 22"),
            Row(
                tuple("BG CY CZ EE GR HR HU IS LI LT LU LV MT NO PT RO SE SI SK".split()),  # noqa: SIM905
                KINDS,
                (_CONSENT,),
                _E_PRIVACY,
            ),
            Row(
                ("CA",),
                KINDS,
                (_CONSENT, _ground(IMPLIED, "business", months=24), _ground(IMPLIED, "enquiry", months=6)),
                "CASL s. 6, 10(9), 10(10)",
                True,
            ),
            Row(
                ("US",),
                KINDS,
                tuple(_ground(basis, address=True) for basis in (CONSENT, CUSTOMER, INTEREST, IMPLIED, OPT_OUT)),
                "CAN-SPAM Act, 15 U.S.C. 7704(a)(5)",
                True,
            ),
        ),
    ),
)


def version_on(day: date) -> Version:
    """The version that holds on that day; before the first one, the first."""
    return next((version for version in reversed(DEFAULTS) if version.since <= day), DEFAULTS[0])


def needs_source_notice(country: str) -> bool:
    """Whether people there who did not give their data themselves have to be told in the first mail where it is from,
    where the privacy notice stands, and that they may object (GDPR 14(3)(b), 21(4); UK GDPR likewise).

    Somebody of an unknown country may live there, so the answer is yes.
    """
    return country in OWED_NOTICE
