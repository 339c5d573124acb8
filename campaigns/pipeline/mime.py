"""RFC 5322 text at the speed of C: header values, display names, bodies.

Written out here since the `email` package takes half a millisecond for a message and its generator may
refold what a signature covers. Everything returned is ASCII with CRLF line ends and no line over 998 bytes
(RFC 5322, 2.1.1).
"""

from __future__ import annotations

import binascii
import re

MAX_LINE = 998
FOLD_AT = 76
WORD_BYTES = (
    42  # in base64 and with =?utf-8?b??= around it 68 characters: one per line beside any header name here
)
PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*\Z")


def header_value(text: str, name_chars: int) -> str:
    """Return an unstructured header value, folded; `text` has no line breaks and no control characters.

    name_chars: how much of the first line the header's name takes. What is not ASCII becomes encoded words
    (RFC 2047), and so does what would read as one or can't be folded.
    """
    if text.isascii() and "=?" not in text:
        if len(text) + name_chars <= FOLD_AT:
            return text
        lines = folded(text, name_chars)
        if max(map(len, lines)) <= MAX_LINE - name_chars:
            return "\r\n".join(lines)
    return encoded_words(text)


def folded(text: str, name_chars: int) -> list[str]:
    """Return the lines of an ASCII value broken before single spaces; unfolding gives the same text again."""
    lines, line = [], ""
    room = FOLD_AT - name_chars
    for word in text.split(" "):
        if line and len(line) + 1 + len(word) > room:
            lines.append(line)
            line, room = " " + word, FOLD_AT
        else:
            line = f"{line} {word}" if line else word
    lines.append(line)
    return lines


def encoded_words(text: str) -> str:
    """Return the whole text as encoded words in base64, one per line, no character split between two."""
    words: list[str] = []
    chunk: list[str] = []
    size = 0
    for character in text:
        width = len(character.encode("utf-8"))
        if size + width > WORD_BYTES:
            words.append("".join(chunk))
            chunk, size = [], 0
        chunk.append(character)
        size += width
    words.append("".join(chunk))
    return "\r\n ".join(
        f"=?utf-8?b?{binascii.b2a_base64(word.encode('utf-8'), newline=False).decode('ascii')}?="
        for word in words
    )


def mailbox(display_name: str, address: str) -> str:
    """Return `name <address>` for From; the name has no line breaks and no control characters."""
    if not display_name:
        return address
    if not display_name.isascii() or "=?" in display_name or len(display_name) > 200:
        return f"{encoded_words(display_name)}\r\n <{address}>"
    if PHRASE.match(display_name):
        return f"{display_name} <{address}>"
    quoted = display_name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{address}>'


def body(text: str, longest: int = MAX_LINE + 1) -> tuple[str, bytes]:
    """Return (Content-Transfer-Encoding, encoded bytes) of a text with CRLF line ends, the last line's
    included.

    longest: a bound of the line length that the caller knows; above MAX_LINE the lines are measured.
    """
    if text.isascii():
        if longest <= MAX_LINE or max(map(len, text.split("\r\n"))) <= MAX_LINE:
            return "7bit", text.encode("ascii")
        return "quoted-printable", binascii.b2a_qp(text.encode("ascii"), istext=True)
    data = text.encode("utf-8", "replace")
    if (len(data) - len(text)) * 12 > len(data):  # so many multi-byte characters that base64 is shorter
        packed = binascii.b2a_base64(data, newline=False)
        lines = [packed[start : start + FOLD_AT] for start in range(0, len(packed), FOLD_AT)]
        return "base64", b"\r\n".join(lines) + b"\r\n"
    return "quoted-printable", binascii.b2a_qp(data, istext=True)
