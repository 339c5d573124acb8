"""What is known of mail providers: how they read the part before the @, and where anybody can have an address.

Only what a provider says of itself, or what is common knowledge of its addresses, stands here: two people taken for one
would lose the second one's mail, while one person under two spellings only gets one mail too many, and stands in the
lists of opt-outs twice. Domains of companies stand here never, whoever runs their mail: at Google Workspace dots count.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from outreach.common import public_suffixes


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a provider reads an address: which other domain it means, and whether dots and +tags count."""

    domain: str = ""  # "": the domain itself
    dots: bool = True
    tags: bool = True

    def identity(self, key: str) -> str:
        """The one spelling of `key` (a normalized address) that stands for all that reach the same person."""
        local, _, domain = key.rpartition("@")
        if not self.tags:
            local = local.partition("+")[0] or local
        if not self.dots:
            local = local.replace(".", "") or local
        return f"{local}@{self.domain or domain}"


# "Dots don't matter in Gmail addresses" and "Create task-specific addresses" (Gmail Help); googlemail.com is gmail.com.
_GOOGLE = Spelling("gmail.com", dots=False, tags=False)
# "Plus addressing" (Fastmail, Proton, iCloud, Outlook.com since 2013, mailbox.org, Posteo, Runbox).
_PLUS = Spelling(tags=False)
_PLUS_DOMAINS = """
outlook.com hotmail.com live.com msn.com
outlook.at outlook.be outlook.cl outlook.cz outlook.de outlook.dk outlook.es outlook.fr outlook.hu outlook.ie
outlook.in outlook.it outlook.jp outlook.kr outlook.lv outlook.my outlook.ph outlook.pt outlook.sa outlook.sg
outlook.sk outlook.co.id outlook.co.il outlook.co.th outlook.com.ar outlook.com.au outlook.com.br outlook.com.gr
outlook.com.tr outlook.com.vn
hotmail.at hotmail.be hotmail.ca hotmail.ch hotmail.cl hotmail.co.il hotmail.co.in hotmail.co.jp hotmail.co.kr
hotmail.co.nz hotmail.co.th hotmail.co.uk hotmail.co.za hotmail.com.ar hotmail.com.au hotmail.com.br hotmail.com.tr
hotmail.cz hotmail.de hotmail.dk hotmail.es hotmail.fi hotmail.fr hotmail.gr hotmail.hu hotmail.it hotmail.lt
hotmail.lv hotmail.my hotmail.nl hotmail.no hotmail.ph hotmail.rs hotmail.se hotmail.sg hotmail.sk
live.at live.be live.ca live.ch live.cl live.cn live.co.kr live.co.uk live.co.za live.com.ar live.com.au live.com.mx
live.com.my live.com.ph live.com.pt live.com.sg live.de live.dk live.fi live.fr live.hk live.ie live.in live.it
live.jp live.nl live.no live.ru live.se
icloud.com me.com mac.com
fastmail.com fastmail.fm
proton.me protonmail.com protonmail.ch pm.me
mailbox.org posteo.de posteo.net runbox.com
"""
SPELLINGS: dict[str, Spelling] = {name: _PLUS for name in _PLUS_DOMAINS.split()} | {
    "gmail.com": _GOOGLE,
    "googlemail.com": _GOOGLE,
}


@cache
def free_mail() -> frozenset[str]:
    """Domains at which anybody can have an address, so that two addresses there say nothing of a common company.

    From free_mail.txt beside this file: one domain a line, # begins a comment.
    """
    lines = Path(__file__).with_name("free_mail.txt").read_text(encoding="utf-8").splitlines()
    listed = {line.partition("#")[0].strip() for line in lines} - {""}
    return frozenset(listed | SPELLINGS.keys())


def company_domain(domain: str) -> str:
    """The domain that stands for whom an address at `domain` works for, "" where anybody can have an address.

    mail.acme.co.uk belongs to acme.co.uk.
    """
    if domain in free_mail():
        return ""
    own = public_suffixes.look_up(domain)
    return "" if own in free_mail() else own
