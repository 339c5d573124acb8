"""Whether a domain's SPF record is sound, and lets the ways out that we use pass."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field

from deliverability.dns.findings import Finding, Level, found
from deliverability.dns.resolver import Answer, Resolver
from deliverability.dns.spf_evaluate import MAX_LOOK_UPS, MAX_NAMES, MAX_VOID, Result, evaluate
from deliverability.dns.spf_record import LOOK_UP_TERMS, Record, SpfSyntaxError, Term, is_record, parse

PRACTICAL_BYTES = 450  # RFC 7208, 3.4: with its name it still fits into an old UDP answer
WALKED_LOOK_UPS = 40  # beyond the limit the count goes on a little, to say how many there are

LEVELS: dict[Result, Level] = {"pass": "pass", "temperror": "unknown", "neutral": "warn"}


@dataclass
class Walk:
    """Everything that a record leads to, whoever the client is: the worst case of RFC 7208, 4.6.4."""

    resolver: Resolver
    look_ups: int = 0
    voids: list[str] = field(default_factory=list)
    includes: set[str] = field(default_factory=set)  # domains whose pass makes ours pass
    findings: list[Finding] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    has_ptr: bool = False
    last: Term | None = None  # the `all` that decides about everybody else

    def add(self, level: Level, code: str, text: str, remedy: str, *evidence: str) -> None:
        self.findings.append(found("spf", level, code, text, remedy, evidence))

    def enter(self, domain: str, path: tuple[str, ...] = (), passing: bool = True, deciding: bool = True) -> None:
        """Walk the record of `domain`; `path` holds the domains that led here."""
        answer = self.resolver.ask(domain, "TXT")
        if answer.is_trouble:
            self.troubles.append(answer.said)
            return
        texts = [text for text in answer.records if is_record(text)]
        where = f", which the record of {path[-1]} needs," if path else ""
        if not texts:
            code, remedy = "missing", "Publish a TXT record that begins with v=spf1 and names every way out."
            if path:
                code = "include_missing"
                remedy = f"Take {domain} out of the record of {path[-1]}, or ask who runs it."
            self.add("fail", code, f"{domain}{where} has no SPF record.", remedy, answer.said)
            return
        if len(texts) > 1:
            text = f"{domain}{where} has {len(texts)} SPF records; receivers then take none of them."
            self.add("fail", "several", text, "Put all of it into one record.", *texts)
            return
        try:
            record = parse(texts[0])
        except SpfSyntaxError as error:
            text = f"The SPF record of {domain} is broken at character {error.place}: {error.text}."
            self.add("fail", "syntax", text, f"Correct {error.term!r}.", texts[0])
            return
        if passing and path:
            self.includes.add(domain)
        self._record(record, domain, path, passing, deciding)
        if len(texts[0]) > PRACTICAL_BYTES and not path:
            text = f"The SPF record has {len(texts[0])} bytes; beyond {PRACTICAL_BYTES} answers may not fit into UDP."
            self.add("warn", "long", text, "Leave out what is not needed.")

    def _record(self, record: Record, domain: str, path: tuple[str, ...], passing: bool, deciding: bool) -> None:
        for term in (*record.mechanisms, *([record.redirect] if record.redirect else [])):
            if term.name == "all":
                self.last = term if deciding else self.last
                return  # nothing after it is looked at
            if term.name not in LOOK_UP_TERMS:
                continue
            self.look_ups += 1
            if self.look_ups > WALKED_LOOK_UPS:
                return
            self.has_ptr = self.has_ptr or term.name == "ptr"
            if "%" not in term.target:
                self._term(term, domain, path, passing, deciding)

    def _term(self, term: Term, domain: str, path: tuple[str, ...], passing: bool, deciding: bool) -> None:
        target = (term.target or domain).removesuffix(".").lower()
        if term.name in {"include", "redirect"}:
            way = (*path, domain)
            if target in way:
                text = f"The SPF record leads in a circle: {' -> '.join((*way, target))}."
                self.add("fail", "loop", text, f"Take {term.written} out of the record of {domain}.")
            elif term.name == "redirect":
                self.enter(target, way, passing, deciding)
            else:
                self.enter(target, way, passing and term.qualifier == "+", deciding=False)
        elif term.name == "mx":
            answer = self.resolver.ask(target, "MX")
            self._void(term, domain, answer)
            if len(answer.exchanges) > MAX_NAMES:
                hosts = f"{len(answer.exchanges)} mail hosts, {MAX_NAMES} are allowed"
                text = f"{term.written} of {domain} stands for {hosts}."
                self.add("fail", "many_mx", text, "Name the addresses instead.")
            for _, host in answer.exchanges[:MAX_NAMES]:
                self._void(term, domain, *self.resolver.addresses(host))
        elif term.name == "a":
            self._void(term, domain, *self.resolver.addresses(target))
        elif term.name == "exists":
            self._void(term, domain, self.resolver.ask(target, "A"))

    def _void(self, term: Term, domain: str, *answers: Answer) -> None:
        self.troubles += [answer.said for answer in answers if answer.is_trouble]
        if all(answer.is_void for answer in answers):
            self.voids.append(f"{term.written} of {domain}: {answers[0].said}")


def check(resolver: Resolver, domain: str) -> list[Finding]:
    """Judge the record without regard to who sends."""
    walk = Walk(resolver)
    walk.enter(domain)
    broken = {finding.code for finding in walk.findings} & {"missing", "several", "syntax"}
    if walk.troubles:
        text = "The SPF record could not be read to its end."
        remedy = "Look again later; if it lasts, look at the name servers."
        walk.add("unknown", "no_answer", text, remedy, *walk.troubles[:5])
    if not walk.look_ups and (broken or walk.troubles):
        return walk.findings
    if walk.look_ups > MAX_LOOK_UPS:
        many = f"more than {WALKED_LOOK_UPS}" if walk.look_ups > WALKED_LOOK_UPS else str(walk.look_ups)
        text = f"The SPF record needs {many} look-ups, {MAX_LOOK_UPS} are allowed: receivers give up with permerror."
        walk.add(
            "fail", "look_ups", text, "Take includes out that send no mail, or name their networks with ip4 and ip6."
        )
    if len(walk.voids) > MAX_VOID:
        text = f"{len(walk.voids)} look-ups of the SPF record find nothing, {MAX_VOID} are allowed."
        walk.add("fail", "void", text, "Take these terms out.", *walk.voids[:5])
    elif walk.voids:
        walk.add("warn", "void_some", "Terms of the SPF record find nothing.", "Take them out.", *walk.voids)
    if walk.has_ptr:
        walk.add("warn", "ptr", "The SPF record uses ptr, which is slow and which some receivers skip.", "Replace it.")
    if not walk.troubles and not any(finding.level == "fail" for finding in walk.findings):
        walk.findings.append(_rest(walk.last))
        text = f"There is one SPF record, with {walk.look_ups} look-ups of {MAX_LOOK_UPS}."
        walk.findings.insert(0, found("spf", "pass", "sound", text, evidence=_texts(resolver, domain)))
    return walk.findings


def _rest(last: Term | None) -> Finding:
    """What the record says about everybody whom it does not name."""
    if last is None or last.qualifier == "?":
        text = "The SPF record says nothing about those whom it does not name."
        return found("spf", "warn", "open_end", text, "End it with ~all or -all.")
    if last.qualifier == "+":
        text = "The SPF record lets the whole world send as this domain."
        return found("spf", "fail", "all_pass", text, "End it with ~all or -all.", [last.written])
    return found("spf", "pass", "closed", f"Everybody else gets {last.result}.", evidence=[last.written])


def _texts(resolver: Resolver, domain: str) -> list[str]:
    return [text for text in resolver.ask(domain, "TXT").records if is_record(text)]


def covers(resolver: Resolver, domain: str, ways_out: Iterable[str]) -> list[Finding]:
    """Judge each way out: an address, or `include:NAME` as a provider asks for it. Raises ValueError for others."""
    return [_covers(resolver, domain, way) for way in ways_out]


def _covers(resolver: Resolver, domain: str, way: str) -> Finding:
    if not way.lower().startswith("include:"):
        ipaddress.ip_address(way)
        return client(resolver, domain, way)
    walk = Walk(resolver)
    walk.enter(domain)
    name = way[len("include:") :].removesuffix(".").lower()
    if name in walk.includes:
        return found("spf", "pass", "covered", f"The SPF record includes {name}.")
    if walk.troubles:
        text = f"Nobody can tell at the moment whether the SPF record includes {name}."
        return found("spf", "unknown", "no_answer", text, "Look again later.", walk.troubles[:5])
    text = f"The SPF record does not include {name}."
    return found(
        "spf", "fail", "not_covered", text, f"Add include:{name} before the last term.", _texts(resolver, domain)
    )


def client(resolver: Resolver, domain: str, ip: str, sender: str = "") -> Finding:
    """The SPF result of mail that `ip` brings for a sender in this domain. Raises ValueError if `ip` is no address."""
    verdict = evaluate(resolver, ip, domain, sender or f"postmaster@{domain}")
    level = LEVELS.get(verdict.result, "fail")
    family = "ip4" if ipaddress.ip_address(ip).version == 4 else "ip6"
    remedy = {
        "pass": "",
        "temperror": "Look again later.",
        "permerror": "Correct the record first.",
    }.get(verdict.result, f"If mail leaves by {ip}, add {family}:{ip} or its provider's include.")
    text = f"SPF of {domain} for {ip} is {verdict.result}."
    return found("spf", level, f"ip_{verdict.result}", text, remedy, [verdict.reason])
