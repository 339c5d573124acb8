"""SPF records as RFC 7208, sections 5 to 7 and 12 write them: taken apart, and refused with the place of the fault."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

QUALIFIERS = {"+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}
LOOK_UP_TERMS = frozenset({"include", "a", "mx", "ptr", "exists", "redirect"})  # counted (4.6.4)

MACRO = re.compile(r"%(?:\{([A-Za-z])([0-9]{0,3})([rR]?)([-.+,/_=]*)\}|([%_-]))")
_MODIFIER = re.compile(r"([A-Za-z][A-Za-z0-9._-]*)=(.*)", re.DOTALL)
_MECHANISM = re.compile(r"([-+~?]?)([A-Za-z][A-Za-z0-9_.-]*)(?=[:/]|\Z)(.*)", re.DOTALL)
_CIDR = re.compile(r"(?:/([0-9]+))?(?://([0-9]+))?\Z")
_TOP_LABEL = re.compile(r"\.(?=[A-Za-z0-9-]*[A-Za-z-])[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.?\Z")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,2}")
_LETTERS = frozenset("slodiphv")  # c, r and t are for explanations only (7.2)


class SpfSyntaxError(Exception):
    """A record that breaks the grammar. `place` counts characters from 1."""

    def __init__(self, text: str, place: int, term: str) -> None:
        super().__init__(f"{text}, at character {place}")
        self.text, self.place, self.term = text, place, term


@dataclass(frozen=True, slots=True)
class Term:
    """One mechanism or modifier. `target` is the domain-spec with its macros, "" where the current domain is meant."""

    name: str
    written: str
    qualifier: str = "+"
    target: str = ""
    network: Network | None = None
    prefix4: int = 32
    prefix6: int = 128

    @property
    def result(self) -> str:
        return QUALIFIERS[self.qualifier]


@dataclass(frozen=True, slots=True)
class Record:
    """The mechanisms in their order; redirect only where there is no `all`, which would go before it (6.1)."""

    mechanisms: tuple[Term, ...]
    redirect: Term | None = None
    explanation: Term | None = None


def is_record(text: str) -> bool:
    """Whether a TXT record is meant as SPF (4.5)."""
    return text[:7].lower() == "v=spf1 " or text.lower() == "v=spf1"


def parse(text: str) -> Record:
    """Return the record. Raises SpfSyntaxError at its first fault."""
    mechanisms: list[Term] = []
    modifiers: dict[str, Term] = {}
    for found in re.finditer(r"[^ ]+", text[6:]):
        word, place = found[0], found.start() + 7
        if not (word.isascii() and word.isprintable()):
            at = next(i for i, char in enumerate(word) if not " " <= char <= "~")
            raise SpfSyntaxError("a character that is no printable ASCII", place + at, word)
        modifier = _MODIFIER.match(word)
        if modifier is None:
            mechanisms.append(_mechanism(word, place))
            continue
        name = modifier[1].lower()
        if name in {"redirect", "exp"}:
            if name in modifiers:
                raise SpfSyntaxError(f"{name}= stands here a second time", place, word)
            _check_domain_spec(modifier[2], place + len(name) + 1, word)
            modifiers[name] = Term(name, word, target=modifier[2])
        else:
            _check_macros(modifier[2], place + len(name) + 1, word)
    redirect = None if any(term.name == "all" for term in mechanisms) else modifiers.get("redirect")
    return Record(tuple(mechanisms), redirect, modifiers.get("exp"))


def _mechanism(word: str, place: int) -> Term:
    parts = _MECHANISM.match(word)
    if parts is None:
        raise SpfSyntaxError("neither a mechanism nor a modifier", place, word)
    qualifier, name, rest = parts[1] or "+", parts[2].lower(), parts[3]
    at = place + len(word) - len(rest)
    if name == "all":
        if rest:
            raise SpfSyntaxError("all takes nothing after it", at, word)
        return Term(name, word, qualifier)
    if name in {"ip4", "ip6"}:
        return Term(name, word, qualifier, network=_network(name, rest, at, word))
    if name in {"include", "exists"}:
        if not rest.startswith(":"):
            raise SpfSyntaxError(f"{name} needs a domain after a colon", at, word)
        _check_domain_spec(rest[1:], at + 1, word)
        return Term(name, word, qualifier, rest[1:])
    if name == "ptr":
        if rest:
            _check_domain_spec(rest[1:] if rest[0] == ":" else "", at + 1, word)
        return Term(name, word, qualifier, rest[1:])
    if name in {"a", "mx"}:
        cidr = _CIDR.search(rest)
        target = rest[: cidr.start()] if cidr else rest
        if target:
            _check_domain_spec(target[1:] if target[0] == ":" else "", at + 1, word)
        prefix4 = _prefix(cidr[1] if cidr else None, 32, at + len(target), word)
        prefix6 = _prefix(cidr[2] if cidr else None, 128, at + len(target), word)
        return Term(name, word, qualifier, target[1:], prefix4=prefix4, prefix6=prefix6)
    raise SpfSyntaxError(f"there is no mechanism {name}", place, word)


def _network(name: str, rest: str, at: int, word: str) -> Network:
    if not rest.startswith(":"):
        raise SpfSyntaxError(f"{name} needs an address after a colon", at, word)
    literal, slash, digits = rest[1:].partition("/")
    longest = 32 if name == "ip4" else 128
    try:
        ip = ipaddress.IPv4Address(literal) if name == "ip4" else ipaddress.IPv6Address(literal)
        if "%" in literal:
            raise ValueError("a scope")
    except ValueError:
        kind = "IPv4" if name == "ip4" else "IPv6"
        raise SpfSyntaxError(f"{literal!r} is no {kind} address", at + 1, word) from None
    prefix = _prefix(digits if slash else None, longest, at + 1 + len(literal), word)
    return ipaddress.ip_network((ip, prefix), strict=False)


def _prefix(digits: str | None, longest: int, at: int, word: str) -> int:
    if digits is None:
        return longest
    if not _NUMBER.fullmatch(digits) or int(digits) > longest:
        raise SpfSyntaxError(f"/{digits} is no prefix length from 0 to {longest}", at, word)
    return int(digits)


def _check_domain_spec(text: str, at: int, word: str) -> None:
    """A domain-spec ends in a macro or in a dot and a top label that is no number."""
    if not text:
        raise SpfSyntaxError("a domain is missing", at, word)
    end = _check_macros(text, at, word)
    if end != len(text) and not _TOP_LABEL.search(text, end):
        raise SpfSyntaxError(f"{text!r} is no full domain name", at, word)


def _check_macros(text: str, at: int, word: str) -> int:
    """Refuse a % that starts no macro; return where the last macro that stands for text ends, 0 where there is none."""
    position = end = 0
    while (position := text.find("%", position)) >= 0:
        macro = MACRO.match(text, position)
        if macro is None or (macro[1] and macro[1].lower() not in _LETTERS) or (macro[2] and not int(macro[2])):
            raise SpfSyntaxError("a % that starts no macro (a percent sign is written %%)", at + position, word)
        position = macro.end()
        end = position
    return end
