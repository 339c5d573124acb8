"""Addresses, domains and header values: what may enter, and the one form in which they are compared.

The usual ASCII address takes a strict pattern that accepts only what email-validator accepts too;
everything else goes through that library (RFC 5321, 5322, 6531, IDNA 2008). Special-use domains (.test,
.example, .localhost) are allowed: whether mail can get there is for DNS to say, not for syntax.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import idna
from email_validator import EmailNotValidError, validate_email

from outreach.common import providers
from outreach.common.errors import BadInput

MAX_CHARS = 320  # longer text is refused before any parser sees it; RFC 5321 ends at 254

LOCAL = r"[A-Za-z0-9_!#$%&'*+/=?^`{|}~-]+(?:\.[A-Za-z0-9_!#$%&'*+/=?^`{|}~-]+)*"
LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
DOMAIN = rf"(?:{LABEL}\.)+(?:[A-Za-z0-9][A-Za-z0-9-]{{0,61}})?[A-Za-z]"  # no top-level domain ends in a digit
# No label with two dashes: xn-- and its like take the slow road, where IDNA is checked.
USUAL = re.compile(rf"(?=.{{3,254}}\Z)(?!.*--)(?=[^@]{{1,64}}@)({LOCAL})@({DOMAIN})\Z")
USUAL_DOMAIN = re.compile(rf"(?=.{{1,253}}\Z)(?!.*--){DOMAIN}\Z")
UNROUTABLE = (".arpa", ".onion")  # names that never carry mail
SPECIAL_USE = re.compile(r"(.*[.@])(invalid|local|localhost)\Z", re.IGNORECASE | re.DOTALL)  # RFC 6761

# C0 and C1 controls, the Unicode line ends, lone surrogates, and the Bidi_Control characters
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
LINE_ENDS = "\r\n\x0b\x0c\x85\u2028\u2029"
ENCODED_WORD = re.compile(r"=\?[^?\s]*\?[A-Za-z]\?[^?]*\?=")


@dataclass(frozen=True, slots=True)
class Address:
    """An address that can be stored and compared.

    email: as given, without blanks around it. key: how addresses are compared, `local@domain` with the
    local part in NFC and case-folded, the domain as in `domain`. local: the local part in NFC. domain: IDNA
    in ASCII, lower case. identity: whose address it is, so what contacts and suppressions are told apart by.
    """

    email: str
    key: str
    local: str
    domain: str

    @property
    def wire(self) -> str:
        """The address for the envelope and the headers: the domain in ASCII, the local part as given."""
        return f"{self.local}@{self.domain}"

    @property
    def identity(self) -> str:
        """The `key` of the person: without dots, tags and second domains where the provider ignores them.

        j.doe+fair@googlemail.com is jdoe@gmail.com. The identity's identity is itself.
        """
        found = providers.SPELLINGS.get(self.domain)
        return self.key if found is None else found.identity(self.key)

    @property
    def needs_smtputf8(self) -> bool:
        """True if the local part is not ASCII: only servers with SMTPUTF8 (RFC 6531) take it."""
        return not self.local.isascii()


class HeaderInjection(BadInput):
    """A value would start a header of its own, or hide what a header says."""

    code = "header_injection"


def parse(text: str) -> Address:
    """Return the address in `text`, a bare addr-spec. Raises BadInput with what is wrong with it."""
    email = text.strip(" \t")
    usual = USUAL.match(email)
    if usual and "=?" not in email:
        local, domain = usual.groups()
        domain = domain.lower()
        if not domain.endswith(UNROUTABLE):
            return Address(email, f"{local.lower()}@{domain}", local, domain)
    if len(email) > MAX_CHARS:
        raise BadInput(f"The address has {len(email)} characters; at most 254 are possible.")
    if UNSAFE.search(email):
        raise BadInput("The address has a line break or an invisible control character in it. Remove it.")
    if ENCODED_WORD.search(email):  # allowed by RFC 5321, and decoded by receivers that RFC 2047, 5 forbids to
        raise BadInput("The address has an encoded word in it (=?...?=). Write the address itself.")
    # the library knows no way to allow these names, so it looks at a stand-in
    special = SPECIAL_USE.match(email)
    try:
        valid = validate_email(
            f"{special[1]}example.test" if special else email,
            strict=True,
            check_deliverability=False,
            test_environment=True,
            allow_quoted_local=False,
        )
    except (EmailNotValidError, idna.IDNAError, UnicodeError) as error:
        raise BadInput(f"{email[:100]!r} is not an address: {error}") from error
    domain = valid.ascii_domain.lower()
    if special:
        domain = domain.removesuffix("example.test") + special[2].lower()
    local = unicodedata.normalize("NFC", email.rpartition("@")[0])
    return Address(email, f"{unicodedata.normalize('NFC', local.casefold())}@{domain}", local, domain)


def parse_domain(text: str) -> str:
    """Return a domain as it is compared: IDNA in ASCII, lower case, no dot at the end. Raises BadInput."""
    domain = text.strip(" \t").removesuffix(".")
    if USUAL_DOMAIN.match(domain):
        return domain.lower()
    return parse(f"postmaster@{domain}").domain


def domain_of(address: str) -> str:
    """Return the part after the last @ of an address that was parsed before, "" when there is none."""
    return address.rpartition("@")[2] if "@" in address else ""


def parents(domain: str) -> list[str]:
    """Return the domains above, nearest first: a.b.example.com has b.example.com, example.com, com."""
    labels = domain.split(".")
    return [".".join(labels[start:]) for start in range(1, len(labels))]


def header_text(value: str, where: str) -> str:
    """Return `value` if it may stand in a header. Raises HeaderInjection that names `where`.

    Refused are line breaks in every form (CR, LF, NEL, U+2028, U+2029), all other control characters, lone
    surrogates, the characters that turn the direction of writing, and encoded words (RFC 2047), which a
    receiver would decode into any of these.
    """
    found = UNSAFE.search(value)
    if found:
        kind = "a line break" if found[0] in LINE_ENDS else "an invisible control character"
        name = f"U+{ord(found[0]):04X}"
        raise HeaderInjection(f"{where} has {kind} in it ({name}), which could forge a header. Remove it.", field=where)
    if "=?" in value and ENCODED_WORD.search(value):
        raise HeaderInjection(f"{where} has an encoded word in it (=?...?=). Write the text itself.", field=where)
    return value
