"""Contact files for tests, and what an import made of them."""

from __future__ import annotations

from pathlib import Path

from campaigns.services import importing
from tenants.services.actors import SYSTEM

COLUMNS = (
    "email,first_name,last_name,company,country,time_zone,person_kind,source,lawful_basis,basis_date,"
    "basis_expires_on,basis_evidence"
)
CELLS = {
    "email": "ann@acme.example",
    "first_name": "Ann",
    "last_name": "Lee",
    "company": "Acme",
    "country": "UA",
    "time_zone": "Europe/Kyiv",
    "person_kind": "corporate_named",
    "source": "fair in Kyiv",
    "lawful_basis": "consent",
    "basis_date": "2026-01-02",
    "basis_expires_on": "",
    "basis_evidence": "form 12",
}


def row(email="ann@acme.example", *more: str, **changes: str) -> str:
    return ",".join([*(CELLS | {"email": email} | changes).values(), *more])


def run(tenant, path, list_name="All", **options):
    *_, report = importing.import_contacts(tenant, path, list_name=list_name, actor=SYSTEM, **options)
    return report


def counts(report) -> tuple[int, int, int, int]:
    return report.created, report.updated, report.unchanged, report.refused


def write_rows(path: Path, *rows: str, columns: str = COLUMNS) -> Path:
    """A file with these rows below its header."""
    path.write_bytes(("\n".join((columns, *rows)) + "\n").encode())
    return path
