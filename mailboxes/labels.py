"""Tags, of mailboxes and of people, and signatures as people type them, in the one form in which they are kept."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from outreach.common import addresses
from outreach.common.errors import BadInput

MOST_TAGS = 20  # of one mailbox or person
TAG_CHARS = 40
SIGNATURE_CHARS = 2_000
BETWEEN = re.compile(r"[;,\n]")
# A letter or digit first, so that no tag begins like a formula; nothing that means something in a list or a page.
_TAG = re.compile(r"[^\W_][\w .:/+-]*\Z")
_LINE_END = re.compile(r"\r\n|\r")


def tag(text: str, chars: int = TAG_CHARS) -> str:
    """One tag in small letters, of at most so many characters. Raises BadInput."""
    found = unicodedata.normalize("NFC", " ".join(text.split()).lower())
    if not _TAG.match(found) or len(found) > chars:
        shown = found[:chars].encode("unicode_escape").decode()
        raise BadInput(
            f"{shown!r} is no tag: 1 to {chars} letters, digits, blanks and . : / + - _, a letter or digit first.",
            field="tags",
        )
    return found


def tags(texts: Iterable[str], chars: int = TAG_CHARS) -> list[str]:
    """Tags, each once, in order. Raises BadInput, for too many too."""
    found = sorted({tag(text, chars) for text in texts})
    if len(found) > MOST_TAGS:
        raise BadInput(f"These are {len(found)} tags, at most {MOST_TAGS} are possible.", field="tags")
    return found


def split(text: str, chars: int = TAG_CHARS) -> list[str]:
    """Tags as they stand in one cell or field, with ; or , between. Raises BadInput."""
    return tags((part for part in BETWEEN.split(text) if part.strip()), chars)


def joined(found: Iterable[str]) -> str:
    """Tags as one cell, which `split` takes apart."""
    return "; ".join(found)


def signature(text: str) -> str:
    """Plain text with \\n between its lines and no blanks around it. Raises BadInput."""
    found = _LINE_END.sub("\n", text).strip()
    if len(found) > SIGNATURE_CHARS:
        raise BadInput(
            f"The signature has {len(found):,} characters, the limit is {SIGNATURE_CHARS:,}.", field="signature"
        )
    addresses.header_text(found.replace("\n", " "), "signature")
    return found
