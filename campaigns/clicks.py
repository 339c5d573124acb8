"""Links of a wording that are followed through us: which they are, and the wording with our own in their place.

Only what stands in the html as a whole address is counted, never one that a person's fields are part of: so a link
leads where the frozen wording leads, whatever anybody writes into an address.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape
from urllib.parse import urlsplit, urlunsplit

import idna
from django.utils.encoding import iri_to_uri

MOST = 200  # links of one wording
# A tag that never closes is given up where the next one begins: else each would be read to the end of the wording.
HREF = re.compile(
    r"""(<a\b(?:[^<>]|<(?!a\b))*?\shref\s*=\s*)(?:"(https?://[^"{}<>\s]+)"|'(https?://[^'{}<>\s]+)')""",
    re.IGNORECASE | re.DOTALL,
)
UNSAFE = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029\ud800-\udfff\\]")


def links(html: str) -> tuple[str, ...]:
    """The addresses that the wording's links lead to, each once, in their order."""
    found = dict.fromkeys(unescape(double or single) for _before, double, single in HREF.findall(html))
    return tuple(found)[:MOST]


def location(url: str) -> str | None:
    """The address as a Location header has it, in ASCII; None for one that can't stand there, as with a line break."""
    if UNSAFE.search(url):
        return None
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        if not host.isascii():
            name = idna.encode(host, uts46=True).decode("ascii")
            url = urlunsplit(parts._replace(netloc=name if port is None else f"{name}:{port}"))
    except ValueError:  # what IDNA refuses is one of these
        return None
    return iri_to_uri(url)


def name_of(number: int) -> str:
    """How the wording calls the link of that number in place of its address."""
    return f"outreach_link_{number}"


def replaced(html: str) -> str:
    """The wording with `{{ outreach_link_N }}` where link N leads, from 0; everything else as it was."""
    numbers: Mapping[str, int] = {url: number for number, url in enumerate(links(html))}

    def ours(found: re.Match[str]) -> str:
        number = numbers.get(unescape(found[2] or found[3]))
        return found[0] if number is None else f'{found[1]}"{{{{ {name_of(number)} }}}}"'

    return HREF.sub(ours, html)
