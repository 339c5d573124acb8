"""Questions to DNS with an end: in time, in number and in what an answer may hold.

`ask` never raises. The trouble that a name server can make (silence, SERVFAIL, nonsense, loops) comes back as a status.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.reversename
import dns.rrset

Kind = Literal["A", "AAAA", "MX", "TXT", "CNAME", "PTR"]
Status = Literal["records", "nxdomain", "no_data", "servfail", "timeout", "refused"]

TRIES = 2
TIMEOUT_SECONDS = 3.0  # of one try at one server
RUN_SECONDS = 60.0
RUN_QUESTIONS = 300
MAX_CNAMES = 8
MAX_RECORDS = 200  # a message holds at most 65,535 bytes, so each record is bounded too
UDP_BYTES = 1232  # what passes unfragmented nearly everywhere (DNS flag day 2020)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one name and type.

    records: sorted; addresses, host names (lower case, no dot at the end, "." for the root), the text of TXT with its
    strings put together (one character for each byte, as in Latin-1), or "PREFERENCE HOST" for MX. `canonical` is the
    name at the end of the CNAMEs. `detail` says more about trouble.
    """

    name: str
    kind: Kind
    status: Status
    records: tuple[str, ...] = ()
    canonical: str = ""
    detail: str = ""

    @property
    def is_trouble(self) -> bool:
        """Nobody knows what the records are."""
        return self.status in {"servfail", "timeout", "refused"}

    @property
    def is_void(self) -> bool:
        """There is certainly nothing (RFC 7208, 4.6.4)."""
        return self.status in {"nxdomain", "no_data"}

    @property
    def exchanges(self) -> list[tuple[int, str]]:
        """(preference, host) of MX records, the preferred first."""
        pairs = (record.partition(" ") for record in self.records)
        return sorted((int(preference), host) for preference, _, host in pairs)

    @property
    def said(self) -> str:
        """The answer in a few words, for evidence."""
        names = {"nxdomain": "NXDOMAIN", "no_data": "no such record", "servfail": "SERVFAIL", "refused": "REFUSED"}
        word = names.get(self.status, "no answer in time" if self.status == "timeout" else "")
        return f"{self.name} {self.kind}: {word or ' | '.join(self.records)}" + (
            f" ({self.detail})" if self.detail else ""
        )


class Resolver:
    """Asks for one run and remembers every answer. One thread uses it."""

    def __init__(
        self,
        nameservers: Sequence[tuple[str, int]] | None = None,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        tries: int = TRIES,
        run_seconds: float = RUN_SECONDS,
        run_questions: int = RUN_QUESTIONS,
    ) -> None:
        """Ask these (address, port), or the system's where None is given. Raises ValueError if there is none."""
        self.nameservers = list(nameservers) if nameservers is not None else system_nameservers()
        if not self.nameservers:
            raise ValueError("No name server to ask.")
        for address, _port in self.nameservers:
            ipaddress.ip_address(address)  # a name would have to be asked of the system
        self.timeout_seconds, self.tries = timeout_seconds, tries
        self.run_seconds, self.run_questions = run_seconds, run_questions
        self.deadline = time.monotonic() + run_seconds
        self.questions_left = run_questions
        self._known: dict[tuple[str, Kind], Answer] = {}

    def fresh(self) -> Resolver:
        """One for the next run, with the same servers and limits and nothing remembered."""
        return Resolver(
            self.nameservers,
            timeout_seconds=self.timeout_seconds,
            tries=self.tries,
            run_seconds=self.run_seconds,
            run_questions=self.run_questions,
        )

    def ask(self, name: str, kind: Kind) -> Answer:
        """Return the records of `name`, at the end of its CNAMEs unless they are what is asked for."""
        name = name.lower().removesuffix(".")
        known = self._known.get((name, kind))
        if known is None:
            known = self._known[name, kind] = self._resolve(name, kind)
        return known

    def addresses(self, name: str) -> tuple[Answer, Answer]:
        """The answers for A and AAAA."""
        return self.ask(name, "A"), self.ask(name, "AAAA")

    def reverse(self, ip: str) -> Answer:
        """The names of an address (PTR). Raises ValueError if `ip` is none."""
        ipaddress.ip_address(ip)
        return self.ask(dns.reversename.from_address(ip).to_text(omit_final_dot=True), "PTR")

    def _resolve(self, name: str, kind: Kind) -> Answer:
        try:
            wanted = to_name(name)
        except (dns.exception.DNSException, UnicodeError):
            return Answer(name, kind, "nxdomain", detail="no name that DNS can hold")
        seen = {wanted}
        canonical = wanted
        while True:
            status, detail, message = self._query(canonical, kind)
            if message is None:
                return Answer(name, kind, status, canonical=text_of(canonical), detail=detail)
            canonical, rrset, fault = follow(message, canonical, kind, seen)
            if fault:
                return Answer(name, kind, "servfail", canonical=text_of(canonical), detail=fault)
            if rrset is not None:
                records = sorted({text_of_record(record, kind) for record in rrset})[:MAX_RECORDS]
                return Answer(name, kind, "records", tuple(records), text_of(canonical))
            if message.rcode() == dns.rcode.NXDOMAIN:
                return Answer(name, kind, "nxdomain", canonical=text_of(canonical))
            if canonical == message.question[0].name:
                return Answer(name, kind, "no_data", canonical=text_of(canonical))
            # An authoritative server ends its answer where its own names end: go on from there.

    def _query(self, name: dns.name.Name, kind: Kind) -> tuple[Status, str, dns.message.Message | None]:
        """Ask every server, `tries` times, until one knows; else the last trouble. Truncated answers come by TCP."""
        status: Status = "timeout"
        detail = ""
        for _ in range(self.tries):
            for address, port in self.nameservers:
                seconds = min(self.timeout_seconds, self.deadline - time.monotonic())
                if seconds <= 0 or self.questions_left <= 0:
                    return "timeout", "the limit of this run is reached", None
                self.questions_left -= 1
                question = dns.message.make_query(name, kind, use_edns=0, payload=UDP_BYTES)
                try:
                    message, _ = dns.query.udp_with_fallback(
                        question, address, timeout=seconds, port=port, ignore_unexpected=True
                    )
                except dns.exception.Timeout:
                    status, detail = "timeout", ""
                    continue
                except (dns.exception.DNSException, OSError, ValueError, EOFError) as error:
                    status, detail = "servfail", f"no usable answer: {type(error).__name__}"
                    continue
                rcode = message.rcode()
                if rcode in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
                    return "records", "", message
                status = "refused" if rcode == dns.rcode.REFUSED else "servfail"
                detail = "" if rcode in {dns.rcode.REFUSED, dns.rcode.SERVFAIL} else dns.rcode.to_text(rcode)
        return status, detail, None


def system_nameservers() -> list[tuple[str, int]]:
    """The servers that this machine is set to ask; none where it has no such setting."""
    try:
        system = dns.resolver.Resolver(configure=True)
    except dns.exception.DNSException:
        return []
    return [(str(server), system.port) for server in system.nameservers]


def follow(
    message: dns.message.Message, name: dns.name.Name, kind: Kind, seen: set[dns.name.Name]
) -> tuple[dns.name.Name, dns.rrset.RRset | None, str]:
    """Walk the CNAMEs of one answer: the last name, its records where they are there, and what is wrong, else ""."""
    wanted = dns.rdatatype.from_text(kind)
    sets = {(rrset.name, rrset.rdtype): rrset for rrset in message.answer}
    while True:
        if (name, wanted) in sets:
            return name, sets[name, wanted], ""
        alias = sets.get((name, dns.rdatatype.CNAME))
        if alias is None:
            return name, None, ""
        name = alias[0].target
        if name in seen:
            return name, None, "the CNAMEs lead in a circle"
        seen.add(name)
        if len(seen) > MAX_CNAMES:
            return name, None, f"more than {MAX_CNAMES - 1} CNAMEs"


def to_name(text: str) -> dns.name.Name:
    """As `dns.name.from_text`, but a backslash is a backslash and nothing is turned into IDNA."""
    labels = text.split(".") if text else []
    return dns.name.Name([*(label.encode() for label in labels), b""])


def text_of(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()


def text_of_record(record: Any, kind: Kind) -> str:
    if kind == "TXT":
        return b"".join(record.strings).decode("latin-1")
    if kind == "MX":
        return f"{record.preference} {text_of(record.exchange)}"
    if kind in {"CNAME", "PTR"}:
        return text_of(record.target)
    return str(record.address).lower()
