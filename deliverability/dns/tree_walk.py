"""The tree walk of RFC 9989, 4.10: which record speaks for a domain, and which domain is its organization's."""

from __future__ import annotations

from dataclasses import dataclass

from deliverability.dns import dmarc_record
from deliverability.dns.dmarc_record import Record
from deliverability.dns.resolver import Answer, Resolver

MAX_QUESTIONS = 8


@dataclass(frozen=True, slots=True)
class Walk:
    """What stands at a domain and above it.

    records: (domain, record), from the domain upwards. organization: the organizational domain, the domain itself
    where no record is found. troubles: questions that nobody answered; then the organization is only a guess.
    """

    domain: str
    records: tuple[tuple[str, Record], ...]
    organization: str
    troubles: tuple[Answer, ...] = ()

    @property
    def policy(self) -> tuple[str, Record] | None:
        """The record that counts: of the domain, else of its organization, else of the public suffix above that."""
        by_domain = dict(self.records)
        suffixes = (name for name, record in self.records if record.psd == "y")
        for name in (self.domain, self.organization, *suffixes):
            if name in by_domain:
                return name, by_domain[name]
        return None


def walk(resolver: Resolver, domain: str) -> Walk:
    """Ask the domain and those above it, at most eight."""
    domain = domain.lower().removesuffix(".")
    records: list[tuple[str, Record]] = []
    troubles: list[Answer] = []
    for name in _names(domain):
        answer = ask(resolver, name)
        texts = texts_of(answer)
        if answer.is_trouble:
            troubles.append(answer)
        if len(texts) != 1:  # several at one name are thrown away, all of them
            continue
        record = dmarc_record.parse(texts[0])
        records.append((name, record))
        if record.psd != "u":
            break
    return Walk(domain, tuple(records), _organization(domain, records), tuple(troubles))


def ask(resolver: Resolver, domain: str) -> Answer:
    return resolver.ask(f"_dmarc.{domain}", "TXT")


def texts_of(answer: Answer) -> list[str]:
    return [text for text in answer.records if dmarc_record.is_record(text)]


def aligned(resolver: Resolver, domain: str, author: str, *, strict: bool) -> bool | None:
    """Whether a domain that SPF or DKIM vouches for stands for the From domain; None if nobody can tell now."""
    domain, author = domain.lower().removesuffix("."), author.lower().removesuffix(".")
    if domain == author or strict:
        return domain == author
    ours, theirs = walk(resolver, author), walk(resolver, domain)
    if ours.troubles or theirs.troubles:
        return None
    return ours.organization == theirs.organization


def _names(domain: str) -> list[str]:
    labels = domain.split(".")
    above = [".".join(labels[start:]) for start in range(1, len(labels))]
    return [domain, *above[-(MAX_QUESTIONS - 1) :]]


def _organization(domain: str, records: list[tuple[str, Record]]) -> str:
    for name, record in records:
        if record.psd == "n":
            return name
        if record.psd == "y" and name != domain:
            labels = domain.split(".")
            return ".".join(labels[-(name.count(".") + 2) :])
    return records[-1][0] if records else domain
