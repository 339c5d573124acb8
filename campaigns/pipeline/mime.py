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
WORD_BYTES = 42  # in base64 and with =?utf-8?b??= around it 68 characters: one per line beside any header name here
Body = tuple[str, bytes]  # Content-Transfer-Encoding and the bytes under it
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
        f"=?utf-8?b?{binascii.b2a_base64(word.encode('utf-8'), newline=False).decode('ascii')}?=" for word in words
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


def body(text: str, longest: int = MAX_LINE + 1) -> Body:
    """Return the encoded form of a text with CRLF line ends, the last line's included.

    longest: a bound of the line length that the caller knows; above MAX_LINE the lines are measured.
    """
    if text.isascii() and (longest <= MAX_LINE or max(map(len, text.split("\r\n"))) <= MAX_LINE):
        return "7bit", text.encode("ascii")
    if not is_dense(text):
        return "quoted-printable", quoted(text)
    packed = binascii.b2a_base64(text.encode("utf-8", "replace"), newline=False)
    lines = [packed[start : start + FOLD_AT] for start in range(0, len(packed), FOLD_AT)]
    return "base64", b"\r\n".join(lines) + b"\r\n"


def is_dense(text: str) -> bool:
    """True if so much of the text is not ASCII that base64 is shorter than quoted-printable."""
    size = len(text.encode("utf-8", "replace"))
    return (size - len(text)) * 12 > size


def quoted(text: str) -> bytes:
    """Return a piece of a text in quoted-printable; one that ends within a line ends with a soft line break.

    So pieces that were encoded apart join to one text, with no line over 76 characters (RFC 2045, 6.7).
    """
    if not text:
        return b""
    data = binascii.b2a_qp(text.encode("utf-8", "replace"), istext=True)
    if b"\r" not in data:
        data = data.replace(b"\n", b"\r\n")  # without a CRLF in the text the soft breaks are bare
    if text.endswith("\r\n"):
        return data
    if len(data) - data.rfind(b"\n") > FOLD_AT:  # the last line is full: its last character goes down
        cut = -3 if data[-3:-2] == b"=" else -1
        data = data[:cut] + b"=\r\n" + data[cut:]
    return data + b"=\r\n"


def single(head: str, text: Body) -> bytes:
    """Return a message of one text part. head: all other headers, ASCII; text: as `body` returns it."""
    return f"{head}{part_headers('plain', text[0])}".encode("ascii") + text[1]


def alternative(head: str, text: Body, html: Body, boundary: str) -> bytes:
    """Return a message of two parts. boundary: one that nobody can guess, so that it stands in no body."""
    start = (
        f'{head}Content-Type: multipart/alternative; boundary="{boundary}"\r\n\r\n'
        f"--{boundary}\r\n{part_headers('plain', text[0])}"
    )
    between = f"--{boundary}\r\n{part_headers('html', html[0])}"
    end = f"--{boundary}--\r\n"
    return b"".join((start.encode("ascii"), text[1], between.encode("ascii"), html[1], end.encode("ascii")))


def part_headers(subtype: str, encoding: str) -> str:
    return f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
