"""One row of a contact file: judged, and turned into a line for COPY.

A million rows have to pass here in a few seconds. So whatever repeats in a file (country, zone, ground,
dates, source) is judged once per combination and kept in a bounded dictionary, and a row costs one address,
one keyed hash and one string.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from datetime import date
from functools import cache
from importlib import resources
from operator import itemgetter
from typing import Any, NamedTuple
from zoneinfo import available_timezones

from campaigns.models import Contact
from campaigns.services import contacts
from mailboxes import labels
from outreach.common import addresses, providers
from outreach.common.errors import BadInput
from outreach.common.hashing import Hasher
from outreach.common.refusals import Refusal
from outreach.common.tables import Shape

FACTS = (
    "country",
    "time_zone",
    "person_kind",
    "source",
    "lawful_basis",
    "basis_date",
    "basis_expires_on",
    "basis_evidence",
    "basis_terms",
    "collected_directly",
)
NAMES = ("first_name", "last_name", "company")
SHAPE = Shape(
    required=("email", "person_kind", "source", "lawful_basis", "basis_date"),
    optional=(
        *(*NAMES, "country", "time_zone", "basis_expires_on", "basis_evidence"),
        *("basis_terms", "collected_directly", "tags"),
    ),
    free=50,
)
STAGE = (  # the columns of a line, in order
    ("line", "integer"),
    ("email", "text"),
    ("email_key", "text"),
    ("address_hash", "bytea"),
    ("domain_hashes", "bytea[]"),
    ("company_domain", "text"),
    *((name, "text") for name in NAMES),
    *((name, "text") for name in FACTS[:-2]),
    ("basis_terms", "text[]"),
    ("collected_directly", "boolean"),
    ("tags", "text[]"),
    ("fields", "jsonb"),
)
LIMITS = {
    name: getattr(Contact._meta.get_field(name), "max_length", None) or 0
    for name in ("email", *NAMES, "source", "basis_evidence")
}
FIELDS_BYTES = 8192
REMEMBERED, DOMAINS = (
    20_000,
    100_000,
)  # combinations and domains kept; then forgotten, so that memory stays flat
TAG_CHARS, MOST_TERMS = 50, 20
YES_OR_NO = {"": "f", "no": "f", "false": "f", "yes": "t", "true": "t"}
OTHER_COUNTRY_NAMES = {"UK": "GB", "EL": "GR"}
_TERM = re.compile(r"[a-z][a-z0-9_]{0,23}\Z")
_DATE = re.compile(r"\d{4}-\d\d-\d\d\Z")
_json_text = json.encoder.encode_basestring


class Line(NamedTuple):
    """A good row: whose it is, and the line for COPY with its line end."""

    address_hash: bytes
    text: str


class Met:
    """Whether an address may have been met before, in memory that does not grow with the file.

    One bit per address, chosen by its keyed hash; two addresses share a bit now and then, so `before` may err
    by saying yes, never by saying no. At most 16 MiB: with a million addresses it errs for about one in 270.
    """

    def __init__(self, file_bytes: int) -> None:
        addresses = file_bytes // 40  # a row is hardly shorter
        self._mask = (1 << min(27, max(10, (addresses * 64).bit_length()))) - 1
        self._bits = bytearray((self._mask + 1) >> 3)

    def before(self, address_hash: bytes) -> bool:
        """Whether this address was asked for already."""
        place = int.from_bytes(address_hash[:4], "big") & self._mask
        byte, bit = self._bits[place >> 3], 1 << (place & 7)
        if byte & bit:
            return True
        self._bits[place >> 3] = byte | bit
        return False


_BYTES = r"\\\\x"  # of one bytea in an array: a level of backslashes for COPY, one for the array, one for bytea
Judged = Line | list[Refusal]


@cache
def countries() -> frozenset[str]:
    """ISO 3166-1 alpha-2 codes, from the list that the time zone database carries."""
    text = resources.files("tzdata.zoneinfo").joinpath("iso3166.tab").read_text(encoding="utf-8")
    return frozenset(line[:2] for line in text.splitlines() if line and not line.startswith("#"))


def judge(columns: Sequence[str], keyed: Hasher, *, today: date) -> Callable[[int, Sequence[str]], Judged]:
    """A function (line number, cells) -> the good row, or the refusals.

    `today` is the latest day that a ground may date from.
    """
    places = {name: place for place, name in enumerate(columns)}
    free = [name for name in columns if name not in SHAPE.known]
    keys = [(places[name], f"{_json_text(name)}:") for name in free]
    email_at = places["email"]
    # Absent columns read an empty cell that is put behind the row's own.
    lacking = not {*NAMES, *FACTS, "tags"} <= places.keys()
    tags_at, tags = places.get("tags", -1), _Tags()
    names_of, facts_of = _pick(places, NAMES), _pick(places, FACTS)
    facts: dict[tuple[str, ...], str | list[tuple[str, str]]] = {}
    domains = _Domains(keyed)
    parse, address_hash = addresses.parse, keyed.address
    longest_name = min(LIMITS[name] for name in NAMES)

    def judged(line: int, cells: Sequence[str]) -> Judged:
        if lacking:
            cells = [*cells, ""]
        wrong: list[tuple[str, str]] = []
        try:
            address = parse(cells[email_at])
        except BadInput as error:
            wrong.append(("email", str(error)))
        else:
            if len(address.key) > LIMITS["email"] or len(address.email) > LIMITS["email"]:
                wrong.append(("email", f"has more than {LIMITS['email']} characters"))
        given = facts_of(cells)
        known = facts.get(given)
        if known is None:
            if len(facts) >= REMEMBERED:
                facts.clear()
            known = facts[given] = _judge_facts(given, today)
        if not isinstance(known, str):
            wrong += known
        first, last, company = names_of(cells)
        first, last, company = first.strip(), last.strip(), company.strip()
        if len(first) > longest_name or len(last) > longest_name or len(company) > longest_name:
            wrong += [
                (name, f"has {len(text)} characters, the limit is {LIMITS[name]}")
                for name, text in zip(NAMES, (first, last, company), strict=True)
                if len(text) > LIMITS[name]
            ]
        tagged = tags[cells[tags_at]]
        if not isinstance(tagged, str):
            wrong += tagged
        fields = "{}"
        if keys:
            pairs = [key + _json_text(text) for place, key in keys if (text := cells[place].strip())]
            fields = "{" + ",".join(pairs) + "}"
            if len(fields) > FIELDS_BYTES // 4 and len(fields.encode()) > FIELDS_BYTES:
                wrong.append((free[0], f"the free columns together have more than {FIELDS_BYTES:,} bytes"))
        if wrong:
            return [Refusal(line, column, reason) for column, reason in wrong]
        texts = f"{first}\t{last}\t{company}\t{known}\t{tagged}\t{fields}"
        email, key = address.email, address.identity
        hash_ = address_hash(key)
        wide, own = domains[address.domain]
        if key != address.key:  # an entry that was made of this spelling goes on blocking it
            wide = f'{wide[:-1]},"{_BYTES}{address_hash(address.key).hex()}"}}'
        if "\\" in texts or "\\" in email:  # no line ends or tabs get here: header_text refuses them
            texts, email, key = _quoted(texts), _quoted(email), _quoted(key)
        hashes = f"\\\\x{hash_.hex()}\t{wide}\t{own}"
        return Line(hash_, f"{line}\t{email}\t{key}\t{hashes}\t{texts}\n")

    return judged


def cell(contact: Contact, name: str) -> Any:
    """What a file says of a contact in a known column, as `judge` reads it."""
    value = getattr(contact, name)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return labels.joined(value) if isinstance(value, list) else value


def _pick(places: dict[str, int], names: Sequence[str]) -> Callable[[Sequence[str]], tuple[str, ...]]:
    return itemgetter(*(places.get(name, -1) for name in names))


class _Domains(dict[str, tuple[str, str]]):
    """domain -> its contacts' domain_hashes as COPY takes a bytea[], and the company's domain.

    Forgets all when there are too many.
    """

    def __init__(self, keyed: Hasher) -> None:
        super().__init__()
        self._keyed = keyed
        self._wildcards: dict[str, bytes] = {}  # of the domains above: few, and asked for again and again

    def __missing__(self, domain: str) -> tuple[str, str]:
        if len(self) >= DOMAINS:
            self.clear()
        if len(self._wildcards) >= DOMAINS:
            self._wildcards.clear()
        hashes = contacts.domain_hashes(self._keyed, domain, self._wildcards)
        text = ",".join(f'"{_BYTES}{value.hex()}"' for value in hashes)
        return self.setdefault(domain, (f"{{{text}}}", providers.company_domain(domain)))


class _Tags(dict[str, str | list[tuple[str, str]]]):
    """A cell of tags -> a text[] of them, not yet quoted for COPY; or what is wrong with it."""

    def __missing__(self, cell: str) -> str | list[tuple[str, str]]:
        if len(self) >= REMEMBERED:
            self.clear()
        try:
            found = labels.split(cell, TAG_CHARS)
        except BadInput as error:
            return self.setdefault(cell, [("tags", str(error))])
        return self.setdefault(cell, "{" + ",".join(f'"{tag}"' for tag in found) + "}")


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\")


def _judge_facts(given: tuple[str, ...], today: date) -> str | list[tuple[str, str]]:
    """The facts as part of a COPY line, not yet quoted; or what is wrong with them."""
    row = dict(zip(FACTS, (text.strip() for text in given), strict=True))
    wrong = []
    row["country"] = row["country"].upper()
    if row["country"] and row["country"] not in countries():
        meant = OTHER_COUNTRY_NAMES.get(row["country"])
        remedy = f"; write {meant}" if meant else "; write it as in DE, or leave it empty"
        wrong.append(("country", f"is no two-letter country code of ISO 3166-1{remedy}"))
    if row["time_zone"] and row["time_zone"] not in _zones():
        wrong.append(("time_zone", "is no IANA time zone; write it as in Europe/Kyiv, or leave it empty"))
    for name, values in (("person_kind", Contact.PersonKind.values), ("lawful_basis", Contact.Basis.values)):
        row[name] = row[name].lower()
        if row[name] not in values:
            wrong.append((name, f"must be one of {', '.join(values)}"))
    if not row["source"]:
        wrong.append(("source", "is empty; say where the address comes from"))
    wrong += [
        (name, f"has {len(row[name])} characters, the limit is {LIMITS[name]}")
        for name in ("source", "basis_evidence")
        if len(row[name]) > LIMITS[name]
    ]
    since, until = _day(row["basis_date"]), _day(row["basis_expires_on"])
    if since is None:
        wrong.append(("basis_date", "is no date; write it as in 2026-01-31"))
    elif since > today:
        wrong.append(("basis_date", "lies in the future"))
    if row["basis_expires_on"] and until is None:
        wrong.append(("basis_expires_on", "is no date; write it as in 2026-01-31, or leave it empty"))
    elif since and until and until < since:
        wrong.append(("basis_expires_on", "lies before basis_date"))
    terms = [term.strip().lower() for term in re.split("[;,]", row["basis_terms"]) if term.strip()]
    if len(terms) > MOST_TERMS or not all(map(_TERM.match, terms)):
        reason = f"must be at most {MOST_TERMS} names of letters, digits and _ (24 characters), with ; between"
        wrong.append(("basis_terms", reason))
    row["basis_terms"] = "{" + ",".join(dict.fromkeys(terms)) + "}"
    if row["collected_directly"].lower() not in YES_OR_NO:
        wrong.append(("collected_directly", "must be yes, no or empty"))
    if wrong:
        return wrong
    row["collected_directly"] = YES_OR_NO[row["collected_directly"].lower()]
    return "\t".join(row[name] for name in FACTS)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if _DATE.match(text) else None
    except ValueError:
        return None


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())
