"""Lists of `name=value;` as DKIM (RFC 6376, 3.2) and DMARC (RFC 9989, 4.8) write them."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
BLANKS = " \t\r\n"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a record, and where: `place` counts characters from 1."""

    tag: str
    text: str
    place: int

    def __str__(self) -> str:
        return f"at character {self.place}: {self.text}"


@dataclass(frozen=True, slots=True)
class Tag:
    """`value` has no blanks round it; `place` is where it starts, `at` where the name does."""

    name: str
    value: str
    at: int
    place: int


def split(text: str) -> tuple[dict[str, Tag], list[Fault]]:
    """Return the tags by name, in their order, and every fault of form. The first of two equal names counts."""
    tags: dict[str, Tag] = {}
    faults: list[Fault] = []
    position = 0
    for part in text.split(";"):
        at = position + len(part) - len(part.lstrip(BLANKS)) + 1
        position += len(part) + 1
        word = part.strip(BLANKS)
        if not word:
            if position <= len(text):  # an empty part at the very end is only a closing semicolon
                faults.append(Fault("", "a semicolon too many", at))
            continue
        name, equals, value = word.partition("=")
        name = name.rstrip(BLANKS)
        if not equals or not _NAME.fullmatch(name):
            faults.append(Fault("", f"{word[:40]!r} is no tag of the form name=value", at))
            continue
        place = at + len(word) - len(value.lstrip(BLANKS))
        tag = Tag(name, value.strip(BLANKS), at, place)
        if name in tags:
            faults.append(Fault(name, f"{name}= stands here a second time", at))
            continue
        if not all(" " <= char <= "~" or char in BLANKS for char in value):
            faults.append(Fault(name, f"{name}= holds a character that is no printable ASCII", place))
        tags[name] = tag
    return tags, faults
