"""DMARC records as RFC 9989, 4.7 and 4.8 write them, and what RFC 7489 had besides."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from deliverability.dns.tags import BLANKS, Fault, split
from outreach.common import addresses
from outreach.common.errors import BadInput

POLICIES = ("none", "quarantine", "reject")
VALUES = {
    "p": POLICIES,
    "sp": POLICIES,
    "np": POLICIES,
    "adkim": ("r", "s"),
    "aspf": ("r", "s"),
    "t": ("y", "n"),
    "psd": ("y", "n", "u"),
    "fo": ("0", "1", "d", "s", "d:s", "s:d"),
}
REMOVED = {"pct", "rf", "ri"}  # of RFC 7489; receivers of today ignore them
MAX_ADDRESSES = 20
_VERSION = re.compile(r"v[ \t]*=[ \t]*DMARC1[ \t]*(?:;|\Z)")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30}):(.+)", re.DOTALL)
_SIZE = re.compile(r"![0-9]+[kmgtKMGT]?\Z")  # a limit that RFC 7489 allowed


@dataclass(frozen=True, slots=True)
class Record:
    """What the record asks for; a value that is wrong counts as absent and stands in `faults`.

    p, sp and np are "" where absent. `rua` and `ruf` hold the mail addresses. pct is 100 unless it says less.
    """

    p: str
    sp: str
    np: str
    adkim: str
    aspf: str
    t: str
    psd: str
    pct: int
    rua: tuple[str, ...]
    ruf: tuple[str, ...]
    faults: tuple[Fault, ...]
    text: str

    @property
    def is_applied(self) -> bool:
        """Without p, receivers take p=none where reports are asked for, and else the record as absent."""
        return bool(self.p or self.rua)

    def wants(self, *, below: bool, exists: bool = True) -> str:
        """The policy for the record's own domain, or for one below it."""
        own = self.p or "none"
        if not below:
            return own
        return (self.sp or own) if exists else (self.np or self.sp or own)


def is_record(text: str) -> bool:
    return bool(_VERSION.match(text))


def parse(text: str) -> Record:
    """Return the record of a text that `is_record`; never raises."""
    tags, faults = split(text)
    values: dict[str, str] = {}
    for name, tag in tags.items():
        if name in VALUES:
            value = tag.value.lower().replace(" ", "")
            if value in VALUES[name]:
                values[name] = value
            else:
                choice = ", ".join(VALUES[name])
                faults.append(Fault(name, f"{name}={tag.value[:40]} is none of {choice}", tag.place))
        elif name in REMOVED:
            faults.append(Fault(name, f"{name}= was removed by RFC 9989 and does nothing any more", tag.at))
        elif name not in {"v", "rua", "ruf"}:
            faults.append(Fault(name, f"{name}= is no tag of DMARC and is ignored", tag.at))
    pct = 100
    if "pct" in tags:
        if re.fullmatch(r"[0-9]{1,3}", tags["pct"].value) and int(tags["pct"].value) <= 100:
            pct = int(tags["pct"].value)
        else:
            faults.append(Fault("pct", "pct= is no number from 0 to 100", tags["pct"].place))
    lists = {
        name: _addresses(name, tags[name].value, tags[name].place, faults) for name in ("rua", "ruf") if name in tags
    }
    return Record(
        p=values.get("p", ""),
        sp=values.get("sp", ""),
        np=values.get("np", ""),
        adkim=values.get("adkim", "r"),
        aspf=values.get("aspf", "r"),
        t=values.get("t", "n"),
        psd=values.get("psd", "u"),
        pct=pct,
        rua=lists.get("rua", ()),
        ruf=lists.get("ruf", ()),
        faults=tuple(sorted(faults, key=lambda fault: fault.place)),
        text=text,
    )


def _addresses(name: str, value: str, place: int, faults: list[Fault]) -> tuple[str, ...]:
    """The mail addresses of a list of URIs."""
    good: list[str] = []
    parts = value.split(",")
    for part in parts[:MAX_ADDRESSES]:
        at = place + len(part) - len(part.lstrip(BLANKS))
        place += len(part) + 1
        uri = part.strip(BLANKS)
        scheme = _SCHEME.fullmatch(uri)
        if scheme is None:
            mail = " (is mailto: missing in front?)" if "@" in uri else ""
            faults.append(Fault(name, f"{name}: {uri[:60]!r} is no URI{mail}", at))
            continue
        if scheme[1].lower() != "mailto":
            faults.append(Fault(name, f"{name}: nobody has to send reports to {scheme[1]}:, only to mailto:", at))
            continue
        path = scheme[2].partition("?")[0]
        if _SIZE.search(path):
            faults.append(Fault(name, f"{name}: the size limit after ! was removed by RFC 9989", at))
        try:
            address = addresses.parse(unquote(_SIZE.sub("", path)))
        except BadInput:
            faults.append(Fault(name, f"{name}: {uri[:60]!r} holds no mail address", at))
            continue
        good.append(f"{address.local}@{address.domain}")
    if len(parts) > MAX_ADDRESSES:
        faults.append(Fault(name, f"{name}: more than {MAX_ADDRESSES} addresses", place))
    return tuple(dict.fromkeys(good))
