"""Links of a wording that are followed through us: which they are, and the wording with our own in their place.

Only what stands in the html as a whole address is counted, never one that a person's fields are part of: so a link
leads where the frozen wording leads, whatever anybody writes into an address.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape

MOST = 200  # links of one wording
HREF = re.compile(
    r"""(<a\b[^>]*?\shref\s*=\s*)(?:"(https?://[^"{}<>\s]+)"|'(https?://[^'{}<>\s]+)')""", re.IGNORECASE | re.DOTALL
)


def links(html: str) -> tuple[str, ...]:
    """The addresses that the wording's links lead to, each once, in their order."""
    found = dict.fromkeys(unescape(double or single) for _before, double, single in HREF.findall(html))
    return tuple(found)[:MOST]


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
