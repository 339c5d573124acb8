"""The demo's world: three client companies, their mailboxes and the people they write to, as files.

Everything is made up and can reach nobody: every domain ends in .example, which never resolves
(RFC 6761, 6.5). The same sizes, port and day always give the same files, so an interrupted demo goes on
with what it has.
"""

from __future__ import annotations

import csv
import json
import os
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from outreach.demo import people

MAILBOXES, CONTACTS = 1200, 10_000
MAILBOXES_PER_DOMAIN = 18
RESERVES_PER_POOL = 10  # six pools, so at most 60
DAILY_CAPS = (40, 50, 60)  # a mailbox gets 8 or 9 of the 10,000 mails: far from its cap
DOMAIN_DAILY_CAP = 2000  # more than its mailboxes may send together
SELECTOR = "s1"  # of the key that signs the mail of each client domain
CAMPAIGNS = Path(__file__).parent / "campaigns"
RECORDS = Path(__file__).parent / "records"

MAILBOX_COLUMNS = (
    "address", "display_name", "pool", "reserve", "smtp_host", "smtp_port", "smtp_security", "smtp_username",
    "smtp_password", "daily_cap", "min_gap_seconds",
)  # fmt: skip
DOMAIN_COLUMNS = ("domain", "dkim_selectors", "daily_cap", "registrar", "registered_on", "renews_on")
CONTACT_COLUMNS = (
    "email", "first_name", "last_name", "company", "country", "time_zone", "person_kind", "source", "lawful_basis",
    "basis_date", "basis_expires_on", "basis_evidence", "basis_terms", "industry", "city",
)  # fmt: skip

# What the demo's host allows is what its people gave as their ground, and where its terms would say so.
HOST_TERMS = "https://sink.example/terms"
ALLOWED_BASES = ("consent", "existing_customer", "legitimate_interest", "implied_consent", "opt_out")
# What a country's rule asks for besides the basis.
TERMS_OF = {"legitimate_interest": "job_related", "implied_consent": "business"}


@dataclass(frozen=True, slots=True)
class Pool:
    """One line of business: its share of the fleet, its list, and the campaign that is sent from it."""

    name: str
    share: int
    contact_list: str
    campaign: str  # the name in the YAML file
    file: str


@dataclass(frozen=True, slots=True)
class Company:
    """A tenant of the demo."""

    slug: str
    name: str
    domain: str
    time_zone: str
    postal_address: str
    places: tuple[str, ...]
    pools: tuple[Pool, ...]

    @property
    def record(self) -> Path:
        """Who the company is and what was agreed on, as `tenant_record` takes it."""
        return RECORDS / f"{self.slug}.yaml"

    @property
    def mailbox_file(self) -> str:
        return f"mailboxes-{self.slug}.csv"


COMPANIES = (
    Company(
        "harbourline", "Harbourline Logistics", "harbourline.example", "Europe/Amsterdam",
        "Harbourline Logistics B.V., Maashaven 14, 3072 AE Rotterdam, Netherlands",
        ("rotterdam", "antwerp", "hamburg", "bremen", "felixstowe", "leixoes", "gdynia", "gothenburg", "trieste",
         "valencia", "marseille", "cork", "aarhus", "constanta"),
        (Pool("freight", 240, "Shippers", "Autumn freight rates", "harbourline-freight.yaml"),
         Pool("customs", 200, "Importers", "Customs check-up", "harbourline-customs.yaml")),
    ),
    Company(
        "brightfern", "Brightfern Analytics", "brightfern.example", "Europe/London",
        "Brightfern Analytics Ltd, 27 Wharf Lane, Bristol BS1 6TY, United Kingdom",
        ("bristol", "leeds", "dublin", "lyon", "lille", "berlin", "munich", "vienna", "zurich", "milan", "porto",
         "warsaw", "prague"),
        (Pool("retail", 220, "Retail planners", "Demand forecast in retail", "brightfern-retail.yaml"),
         Pool("energy", 180, "Energy managers", "Energy report 2027", "brightfern-energy.yaml")),
    ),
    Company(
        "oakmere", "Oakmere Facilities", "oakmere.example", "America/Chicago",
        "Oakmere Facilities Inc., 410 West Erie Street, Chicago, IL 60654, USA",
        ("chicago", "boston", "denver", "austin", "seattle", "atlanta", "phoenix", "toronto", "montreal", "calgary",
         "portland", "tampa"),
        (Pool("offices", 200, "Office managers", "Air quality in offices", "oakmere-offices.yaml"),
         Pool("clinics", 160, "Clinic managers", "Night cleaning for clinics", "oakmere-clinics.yaml")),
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Files:
    """What was written: per tenant its mailbox file, per pool its contact file, and the sink's passwords."""

    folder: Path

    def mailboxes(self, company: Company) -> Path:
        return self.folder / company.mailbox_file

    def contacts(self, company: Company, pool: Pool) -> Path:
        return self.folder / f"contacts-{company.slug}-{pool.name}.csv"

    def domains(self, company: Company) -> Path:
        return self.folder / f"domains-{company.slug}.csv"

    @property
    def passwords(self) -> Path:
        """A JSON object {user: password}: whom the sink lets sign in."""
        return self.folder / "passwords.json"


def split(total: int) -> dict[tuple[str, str], int]:
    """`total` over all pools in proportion to their shares, as whole numbers: {(tenant, pool): count}."""
    pools = [(company.slug, pool.name, pool.share) for company in COMPANIES for pool in company.pools]
    whole, parts, before = sum(share for _, _, share in pools), {}, 0
    for slug, name, share in pools:
        parts[slug, name] = (before + share) * total // whole - before * total // whole
        before += share
    return parts


def write(folder: Path, *, mailboxes: int, contacts: int, port: int, today: date) -> Files:
    """Make all files, mode 0600; the sink is to listen on `port` of 127.0.0.1. They are complete, or not there."""
    files = Files(folder)
    passwords: dict[str, str] = {}
    boxes_of, people_of = split(mailboxes), split(contacts)
    strangers = people.everybody(random.Random("contacts"))  # noqa: S311 - made-up people
    for company in COMPANIES:
        boxes: list[dict[str, object]] = []
        for pool in company.pools:
            boxes += _mailboxes(company, pool, boxes_of[company.slug, pool.name], port)
            rows = _contacts(strangers, people_of[company.slug, pool.name], pool, today)
            _write_csv(files.contacts(company, pool), CONTACT_COLUMNS, rows)
        passwords |= {str(box["smtp_username"]): str(box["smtp_password"]) for box in boxes}
        _write_csv(files.mailboxes(company), MAILBOX_COLUMNS, boxes)
        names = sorted({str(box["address"]).rpartition("@")[2] for box in boxes})
        _write_csv(files.domains(company), DOMAIN_COLUMNS, [_domain(name, today) for name in names])
    _put(files.passwords, json.dumps(passwords))
    return files


def _mailboxes(company: Company, pool: Pool, count: int, port: int) -> list[dict[str, object]]:
    chance = random.Random(f"{company.slug} {pool.name}")  # noqa: S311 - passwords of a sink on this machine
    domains = [
        f"{pool.name}-{place}.{company.domain}"
        for place in company.places[: max(1, round(count / MAILBOXES_PER_DOMAIN))]
    ]
    reserves = min(RESERVES_PER_POOL, count // 20)
    names = people.staff(chance, count)
    boxes: list[dict[str, object]] = []
    for number, (first, last) in enumerate(names):
        address = f"{people.mail_name(first)}.{people.mail_name(last)}@{domains[number % len(domains)]}"
        boxes.append(
            {
                "address": address,
                "display_name": f"{first} {last}",
                "pool": pool.name,
                "reserve": "yes" if number >= count - reserves else "no",
                "smtp_host": "127.0.0.1",
                "smtp_port": port,
                "smtp_security": "none",
                "smtp_username": address,
                "smtp_password": f"{chance.getrandbits(96):024x}",
                "daily_cap": chance.choice(DAILY_CAPS),
                "min_gap_seconds": 1,
            }
        )
    return boxes


def _domain(name: str, today: date) -> dict[str, object]:
    years = 1 + len(name) % 3
    return {
        "domain": name,
        "dkim_selectors": SELECTOR,
        "daily_cap": DOMAIN_DAILY_CAP,
        "registrar": "Example Registry",
        "registered_on": (today - timedelta(days=365 * years + 40)).isoformat(),
        "renews_on": (today + timedelta(days=325)).isoformat(),
    }


def _contacts(strangers: Iterator[people.Person], count: int, pool: Pool, today: date) -> Iterator[dict[str, object]]:
    for _, person in zip(range(count), strangers, strict=False):
        since = today - timedelta(days=20 + person.number % 300)
        yield {
            "email": person.email,
            "first_name": person.first_name,
            "last_name": person.last_name,
            "company": person.company,
            "country": person.country,
            "time_zone": person.time_zone,
            "person_kind": "corporate_named",
            "source": f"{pool.contact_list}, sign-up form on the company's site",
            "lawful_basis": person.basis,
            "basis_date": since.isoformat(),
            "basis_expires_on": (since + timedelta(days=730)).isoformat() if person.basis_expires else "",
            "basis_evidence": f"form entry {person.number + 10_000}, confirmed by mail",
            "basis_terms": TERMS_OF.get(person.basis, ""),
            "industry": person.industry,
            "city": person.city,
        }


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[dict[str, object]]) -> None:
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    fresh.replace(path)


def _put(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)
