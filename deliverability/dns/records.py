"""The records that a sending domain needs, as rows to hand to whoever runs its DNS: table, zone file or CSV."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mailboxes.hosts import Host, bare

COLUMNS = ("domain", "check", "name", "type", "value", "why")
TTL_SECONDS = 3600
STRING_BYTES = 255  # of one character string of a TXT record (RFC 1035, 3.3.14)
FROM_HOST = "(from the mailbox host)"


@dataclass(frozen=True, slots=True)
class Record:
    """One record. `name` is complete, without a dot at the end; `value` is "" where only the host knows it."""

    domain: str
    check: str
    name: str
    type: str
    value: str
    why: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def shown(self) -> str:
        return self.value or FROM_HOST


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is known of a domain that is to send.

    `spf_terms` as accounts have them; `unknown` names servers of which nobody said what SPF has to cover. `links` is
    (tracking host, what it has to lead to). `reports` takes DMARC reports; "" means the domain's own postmaster.
    """

    domain: str
    spf_terms: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    selectors: tuple[str, ...] = ()
    hosts: tuple[Host, ...] = ()
    return_path: str = ""
    links: tuple[str, str] | None = None
    reports: str = ""


def needed(wanted: Wanted) -> list[Record]:
    """All records of one domain, in the order of the checks."""
    domain = wanted.domain
    envelope = wanted.return_path or domain
    records = _mx(wanted, domain)
    if envelope != domain:
        why = "Bounces go to the domain of the envelope, so it has to receive."
        records.append(Record(domain, "mx", envelope, "MX", "", why))
    records.append(_spf(wanted, envelope))
    records += _dkim(wanted)
    records += _dmarc(wanted)
    if wanted.links:
        host, target = wanted.links
        why = "Unsubscribe and click links lead over this name to the console."
        records.append(Record(domain, "tracking", host, "CNAME", target, why))
    return records


def _mx(wanted: Wanted, domain: str) -> list[Record]:
    why = "Replies, bounces and complaints have to arrive."
    known = [host for host in wanted.hosts if host.mx]
    if len(wanted.hosts) == 1 and known:
        value = known[0].mx.format(dashed=domain.replace(".", "-"))
        return [Record(domain, "mx", domain, "MX", value, f"{why} So {known[0].name} receives.")]
    return [Record(domain, "mx", domain, "MX", "", f"{why} Take the host that reads its mailboxes.")]


def _spf(wanted: Wanted, envelope: str) -> Record:
    why = "One record that names every way by which mail leaves. If there is an SPF record, put the terms into it."
    if wanted.unknown:
        why += f" What mail leaves by behind {', '.join(wanted.unknown)} is not known yet."
    return Record(wanted.domain, "spf", envelope, "TXT", spf_value(wanted.spf_terms), why)


def spf_value(terms: Iterable[str]) -> str:
    """An SPF record that covers the terms and nobody else."""
    return " ".join(["v=spf1", *dict.fromkeys(map(_mechanism, terms)), "~all"])


def _mechanism(term: str) -> str:
    if term.lower().startswith("include:"):
        return term
    version = ipaddress.ip_network(bare(term), strict=False).version
    return f"ip{version}:{bare(term)}"


def _dkim(wanted: Wanted) -> list[Record]:
    usual = tuple(dict.fromkeys(selector for host in wanted.hosts for selector in host.selectors))
    names = ", ".join(host.name for host in wanted.hosts) or "the mailbox host"
    if not wanted.selectors and not usual:
        why = f"The key that signs: switch DKIM on at {names}, publish what it shows, and name the selector here."
        return [Record(wanted.domain, "dkim", f"SELECTOR._domainkey.{wanted.domain}", "TXT", "", why)]
    types = {selector: host.dkim_type for host in wanted.hosts for selector in host.selectors}
    return [
        Record(
            wanted.domain,
            "dkim",
            f"{selector}._domainkey.{wanted.domain}",
            types.get(selector, "TXT"),
            "",
            f"The key that signs: made and shown by {names}, which keeps its other half.",
        )
        for selector in wanted.selectors or usual
    ]


def _dmarc(wanted: Wanted) -> list[Record]:
    domain = wanted.domain
    reports = wanted.reports or f"postmaster@{domain}"
    why = "Receivers ask for it, and it brings reports. Tighten p= once they are clean."
    records = [Record(domain, "dmarc", f"_dmarc.{domain}", "TXT", f"v=DMARC1; p=none; rua=mailto:{reports}", why)]
    receiver = reports.rpartition("@")[2]
    if receiver != domain and not domain.endswith(f".{receiver}"):
        why = f"Published at {receiver}, not here: with it that domain agrees to get the reports."
        records.append(Record(domain, "dmarc", f"{domain}._report._dmarc.{receiver}", "TXT", "v=DMARC1;", why))
    return records


def as_zone(records: Sequence[Record]) -> str:
    """A zone file (RFC 1035, 5.1) with complete names; what only the host knows stands there as a remark."""
    lines: list[str] = []
    last = ""
    for record in records:
        if record.domain != last:
            lines += ["", f"; {record.domain}"]
            last = record.domain
        lines.append(f"; {record.why}")
        if not record.value:
            lines.append(f"; {record.name}. {TTL_SECONDS} IN {record.type} {FROM_HOST}")
        else:
            lines.append(f"{record.name}. {TTL_SECONDS} IN {record.type} {_data(record)}")
    return "\n".join(lines[1:]) + "\n" if lines else ""


def _data(record: Record) -> str:
    if record.type == "TXT":
        raw = record.value.encode()
        parts = [raw[start : start + STRING_BYTES].decode() for start in range(0, len(raw), STRING_BYTES)]
        return " ".join('"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"' for part in parts)
    return f"{record.value}."


def as_table(records: Sequence[Record]) -> str:
    """Lines for a terminal, a heading for each domain."""
    width = max((len(record.name) for record in records), default=0)
    lines: list[str] = []
    last = ""
    for record in records:
        if record.domain != last:
            lines += ([""] if lines else []) + [record.domain]
            last = record.domain
        lines.append(f"  {record.name:<{width}}  {record.type:<5}  {record.shown}")
        lines.append(f"  {'':<{width}}         -> {record.why}")
    return "\n".join(lines)
