"""One row of a mailbox file: judged, without a look at the database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mailboxes import labels
from mailboxes.edits import LONGEST_GAP, MOST_PER_DAY
from mailboxes.models import Mailbox, Pool, ProviderAccount, RampPlan
from mailboxes.services.mailboxes import LONGEST_PASSWORD
from outreach.common import addresses
from outreach.common.addresses import Address
from outreach.common.errors import BadInput
from outreach.common.refusals import Refusal, Row
from outreach.common.tables import Shape, Table

SHAPE = Shape(
    required=("address", "pool", "smtp_host", "smtp_port", "smtp_security"),
    optional=(
        *("display_name", "reserve", "smtp_username", "smtp_password", "daily_cap", "min_gap_seconds"),
        *("tags", "signature", "ramp", "imap_host", "imap_port"),
    ),
    verbatim=frozenset({"smtp_password"}),
    texts=frozenset({"signature"}),
)
TEXTS: dict[str, Callable[[str], Any]] = {"tags": labels.split, "signature": labels.signature}
YES, NO = frozenset({"yes", "true", "1", "y"}), frozenset({"no", "false", "0", "n", ""})
LIMITS = {  # characters
    "display_name": Mailbox._meta.get_field("display_name").max_length or 0,
    "pool": Pool._meta.get_field("name").max_length or 0,
    "smtp_host": ProviderAccount._meta.get_field("host").max_length or 0,
    "smtp_username": Mailbox._meta.get_field("username").max_length or 0,
    "smtp_password": LONGEST_PASSWORD,
    "ramp": RampPlan._meta.get_field("name").max_length or 0,
    "imap_host": ProviderAccount._meta.get_field("imap_host").max_length or 0,
}
IMAPS = 993
MOST = {"daily_cap": MOST_PER_DAY, "min_gap_seconds": LONGEST_GAP}


@dataclass(frozen=True, slots=True)
class Server:
    """Where a mailbox leaves: one provider account of the tenant."""

    host: str
    port: int
    security: str


@dataclass(frozen=True, slots=True)
class Reader:
    """Where the mailboxes of an account are read."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Given:
    """What a row says. None, an empty password and an empty ramp mean: as it was, or the default for a new mailbox."""

    address: Address
    pool: str
    server: Server
    username: str
    password: str = field(repr=False)
    display_name: str | None
    reserve: bool
    daily_cap: int | None
    min_gap_seconds: int | None
    ramp: str
    reader: Reader | None
    tags: list[str] | None = None
    signature: str | None = None


def cells(table: Table, row: Row) -> dict[str, str]:
    """The row's cells by the names of their columns; the required ones are there, empty or not."""
    found = dict(zip(table.columns, row.cells, strict=True))
    return {name: found.get(name, "") if name in SHAPE.required else text for name, text in found.items()}


def judge(line: int, texts: Mapping[str, str]) -> Given | list[Refusal]:
    """The row as values, or everything that is wrong with it. No reason holds a password."""
    row = {name: text if name in SHAPE.verbatim else text.strip() for name, text in texts.items()}
    wrong = [
        (name, f"has {len(row[name])} characters, the limit is {most}")
        for name, most in LIMITS.items()
        if len(row.get(name, "")) > most
    ]
    wrong += [(name, "is empty") for name in SHAPE.required if not row[name]]
    address = None
    try:
        address = addresses.parse(row["address"])
        if address.needs_smtputf8:
            wrong.append(("address", "is not ASCII before the @, which most servers refuse for a sender"))
    except BadInput as error:
        if row["address"]:
            wrong.append(("address", str(error)))
    numbers = {}
    for name, most in MOST.items():
        if text := row.get(name, ""):
            numbers[name] = _number(text, most)
            if numbers[name] is None:
                wrong.append((name, f"must be a whole number from 0 to {most}"))
    port, security = _number(row["smtp_port"], 65_535), row["smtp_security"].lower()
    if row["smtp_port"] and not port:
        wrong.append(("smtp_port", "must be a port number, as in 587"))
    if security and security not in ProviderAccount.Security.values:
        wrong.append(("smtp_security", "must be tls or starttls (none only to this machine, in development)"))
    reserve = row.get("reserve", "").lower()
    if reserve not in YES | NO:
        wrong.append(("reserve", "must be yes or no"))
    labelled: dict[str, Any] = {"tags": None, "signature": None}
    for name, read in TEXTS.items():
        try:
            if name in row:
                labelled[name] = read(row[name])
        except BadInput as error:
            wrong.append((name, str(error)))
    reader, reader_wrong = _reader(row.get("imap_host", ""), row.get("imap_port", ""))
    wrong += reader_wrong
    if wrong or address is None:
        return [Refusal(line, name, reason) for name, reason in wrong]
    password = row.get("smtp_password", "")
    username = row.get("smtp_username", "")
    return Given(
        address=address,
        pool=row["pool"],
        server=Server(row["smtp_host"].lower().removesuffix("."), port or 0, security),
        username=username or (address.wire if password else ""),
        password=password,
        display_name=row.get("display_name"),
        reserve=reserve in YES,
        daily_cap=numbers.get("daily_cap"),
        min_gap_seconds=numbers.get("min_gap_seconds"),
        ramp=row.get("ramp", ""),
        reader=reader,
        **labelled,
    )


def _reader(host: str, port: str) -> tuple[Reader | None, list[tuple[str, str]]]:
    """Where mail is read, and what is wrong with it."""
    if port and not host:
        return None, [("imap_port", "stands without an imap_host")]
    number = _number(port, 65_535) if port else IMAPS
    if not number:
        return None, [("imap_port", "must be a port number, as in 993")]
    return (Reader(host.lower().removesuffix("."), number) if host else None), []


def _number(text: str, most: int) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        return None
    number = int(text)
    return number if number <= most else None
