"""Whether the public keys of a domain's DKIM selectors are there and good (RFC 6376, 8301, 8463)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from deliverability.dns.findings import Finding, Level, found
from deliverability.dns.resolver import Answer, Resolver
from deliverability.dns.tags import BLANKS, split

LEAST_BITS, GOOD_BITS = 1024, 2048  # RFC 8301, and what receivers advise
ED25519_BYTES = 32
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
SELECTOR = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_RSA = bytes.fromhex("2a864886f70d010101")  # the object identifier rsaEncryption


class DkimKeyError(Exception):
    """A key record that verifiers can't use; `code` for machines."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Key:
    """A usable key: its algorithm (rsa or ed25519), its length, and whether the domain is only testing."""

    algorithm: str
    bits: int
    is_test: bool
    subdomains: bool  # i= may name a domain below d=


def parse_key(text: str) -> Key:
    """Return the key of one record. Raises DkimKeyError."""
    tags, faults = split(text)
    if faults:
        raise DkimKeyError("syntax", f"The record is broken {faults[0]}.")
    names = list(tags)
    if "v" in tags and (names[0] != "v" or tags["v"].value != "DKIM1"):
        raise DkimKeyError("syntax", "v= has to come first and to be DKIM1.")
    if "p" not in tags:
        raise DkimKeyError("syntax", "There is no key: p= is missing.")
    listed = {name: _list(tags[name].value) if name in tags else [] for name in ("h", "s", "t")}
    if listed["h"] and "sha256" not in listed["h"]:
        raise DkimKeyError("hash", "h= leaves out sha256, the only hash that counts (RFC 8301).")
    if listed["s"] and not {"*", "email"} & set(listed["s"]):
        raise DkimKeyError("service", "s= leaves out email.")
    encoded = re.sub(f"[{BLANKS}]", "", tags["p"].value)
    if not encoded:
        raise DkimKeyError("revoked", "The key is revoked: p= is empty.")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DkimKeyError("syntax", f"p= is no base64, from character {tags['p'].place} on.") from error
    algorithm = tags["k"].value if "k" in tags else "rsa"
    if algorithm == "rsa":
        bits = rsa_bits(raw)
        if not bits:
            raise DkimKeyError("syntax", "p= holds no RSA key.")
    elif algorithm == "ed25519":
        bits = 8 * len(raw)
        if len(raw) != ED25519_BYTES:
            raise DkimKeyError("syntax", f"An Ed25519 key has {ED25519_BYTES} bytes, p= holds {len(raw)}.")
    else:
        raise DkimKeyError("algorithm", f"k={algorithm} is no algorithm that verifiers know.")
    return Key(algorithm, bits, "y" in listed["t"], "s" not in listed["t"])


def check(resolver: Resolver, domain: str, selectors: Iterable[str]) -> list[Finding]:
    """Judge the key of every selector. Raises ValueError for one that can't be one."""
    findings: list[Finding] = []
    for selector in selectors:
        if len(selector) > 180 or not SELECTOR.fullmatch(selector):
            raise ValueError(f"{selector!r} is no DKIM selector.")
        findings += check_selector(resolver, domain, selector)
    return findings


def check_selector(resolver: Resolver, domain: str, selector: str) -> list[Finding]:
    name = f"{selector}._domainkey.{domain}".lower()
    answer = resolver.ask(name, "TXT")
    alias = f" (by CNAME {answer.canonical})" if answer.canonical not in {"", name} else ""

    def say(level: Level, code: str, text: str, remedy: str = "", *evidence: str) -> Finding:
        return found("dkim", level, code, f"Selector {selector}{alias}: {text}", remedy, evidence)

    if answer.is_trouble:
        return [say("unknown", "no_answer", "its key could not be read.", "Look again later.", answer.said)]
    texts = [text for text in answer.records if looks_like_key(text)]
    if not texts:
        return [say("fail", "missing", "there is no key.", _missing_remedy(answer, name, alias), answer.said)]
    if len(texts) > 1:
        remedy = "Leave the one that signs."
        return [say("fail", "several", f"there are {len(texts)} keys; which one counts is undefined.", remedy, *texts)]
    try:
        key = parse_key(texts[0])
    except DkimKeyError as error:
        revoked = error.code == "revoked"
        remedy = "Sign with another selector." if revoked else "Publish the record as the signing host shows it."
        return [say("fail", error.code, str(error), remedy, texts[0])]
    findings = [_strength(say, key)]
    if key.is_test:
        remedy = "Take y out of t= once signatures verify."
        findings.append(say("warn", "test_mode", "t=y: receivers may treat the mail as unsigned.", remedy, texts[0]))
    return findings


def _strength(say: Callable[..., Finding], key: Key) -> Finding:
    remedy = f"Make a key of {GOOD_BITS} bits under a new selector."
    if key.algorithm == "ed25519":
        return say("pass", "ed25519", "an Ed25519 key; keep an RSA key beside it, many receivers know only that.")
    if key.bits < LEAST_BITS:
        return say(
            "fail", "short", f"its RSA key has {key.bits} bits; receivers ignore less than {LEAST_BITS}.", remedy
        )
    if key.bits < GOOD_BITS:
        return say("warn", "short_soon", f"its RSA key has {key.bits} bits; {GOOD_BITS} are advised.", remedy)
    return say("pass", "sound", f"an RSA key of {key.bits} bits.")


def looks_like_key(text: str) -> bool:
    """Whether a TXT record is meant as a key: other texts stand there where a wildcard answers."""
    return bool(re.match(r"\s*v\s*=\s*DKIM", text)) or bool(re.search(r"(?:\A|;)\s{0,9}p\s{0,9}=", text))


def _missing_remedy(answer: Answer, name: str, alias: str) -> str:
    if alias:
        return f"The CNAME leads to {answer.canonical}, where no key is: ask the host of the mailboxes to publish it."
    return f"Publish the record that the signing host shows at {name}."


def _list(value: str) -> list[str]:
    return [part.strip(BLANKS) for part in value.split(":") if part.strip(BLANKS)]


def rsa_bits(der: bytes) -> int:
    """Return the length of an RSA key's modulus, 0 if it is none.

    Takes SubjectPublicKeyInfo, and the bare RSAPublicKey that RFC 6376 names. Read by hand, since libraries refuse
    short keys without saying how short they are.
    """
    try:
        tag, body, _ = _read(der)
        first, inner, rest = _read(body)
        if tag != 0x30:
            return 0
        if first == 0x30:
            if _read(inner)[1] != _RSA:
                return 0
            kind, bits, _ = _read(rest)
            outer, body, _ = _read(bits[1:])
            if kind != 0x03 or outer != 0x30:
                return 0
            first, inner, rest = _read(body)
        exponent = _read(rest)[0]
    except (ValueError, IndexError):
        return 0
    return int.from_bytes(inner, "big").bit_length() if first == exponent == 0x02 else 0


def _read(der: bytes) -> tuple[int, bytes, bytes]:
    """Take one element of DER: its tag, its content, what follows. Raises ValueError, IndexError."""
    tag, length, start = der[0], der[1], 2
    if length & 0x80:
        size = length & 0x7F
        if not 1 <= size <= 4:
            raise ValueError("a length that DER does not have")
        start += size
        length = int.from_bytes(der[2:start], "big")
    if len(der) < start + length:
        raise ValueError("cut off")
    return tag, der[start : start + length], der[start + length :]
