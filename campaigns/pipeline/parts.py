"""The parts of a message: templates that are filled in with one person's values, and the footer the law
wants.

A part of text and `{{ field }}` or `{{ field | default: "x" }}` is filled in directly; one with tags or
other filters goes through Liquid. Both give the same text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from markupsafe import Markup, escape

from campaigns.pipeline import mime
from campaigns.templating import CompiledPart, MissingField, Slot, compile_part
from outreach.common import addresses

CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
BLANKS = re.compile(" {2,}")
SIGNED_ABOVE, SIGNED_ALONE = "\0above", "\0alone"  # the signature with what sets it off; no field has such a name
LINK, ABOVE, ALONE = Slot("unsubscribe_url", ""), Slot(SIGNED_ABOVE, ""), Slot(SIGNED_ALONE, "")


class DirectPart:
    """A part of text and slots: filling it in is one join. MissingField is raised where a slot has no default."""

    __slots__ = ("_ascii", "_compiled", "_dense", "_html", "_longest", "_pieces", "_quoted", "_slots")

    def __init__(self, compiled: CompiledPart, pieces: Sequence[str | Slot], *, line_end: str = "\r\n") -> None:
        self._compiled = compiled
        self._html = compiled.part == "html"
        self._pieces = [piece.replace("\n", line_end) if isinstance(piece, str) else "" for piece in pieces]
        self._slots = [
            (place, piece.field, None if piece.default is None else piece.default.replace("\n", line_end))
            for place, piece in enumerate(pieces)
            if isinstance(piece, Slot)
        ]
        constant = "".join(self._pieces)
        self._longest = max(map(len, constant.split("\r\n")))
        self._ascii = constant.isascii()
        self._dense = mime.is_dense(constant)
        self._quoted = [mime.quoted(piece) for piece in self._pieces]

    def line(self, values: Mapping[str, str]) -> str:
        """Return the subject. Raises HeaderInjection that names the field which can't stand in a header."""
        pieces = self._pieces.copy()
        for place, name, default in self._slots:
            value = values.get(name)
            if value:
                value = checked(value, name)
            elif (value := default) is None:
                raise self._lacks(name)
            pieces[place] = value
        subject = "".join(pieces)
        if "=?" in subject:  # which two values may give together
            addresses.header_text(subject, "The subject")
        return one_line(subject)

    def body(self, values: Mapping[str, str]) -> mime.Body:
        """Return the encoded part; text that never changes was encoded before, unless base64 joins it all."""
        pieces = self._pieces.copy()
        longest, is_ascii, html = self._longest, self._ascii, self._html
        for place, name, default in self._slots:
            value = values.get(name)
            if not value:
                if default is None:
                    raise self._lacks(name)
                value = default
            elif not value.isalnum():
                if html:
                    value = escape(value)
                if "\n" in value:
                    value = value.replace("\n", "\r\n")
            longest += len(value)
            is_ascii = is_ascii and value.isascii()
            pieces[place] = value
        if (is_ascii and longest <= mime.MAX_LINE) or self._dense:
            return mime.body(ended("".join(pieces)), longest)
        quoted = self._quoted.copy()
        for place, _, _ in self._slots:
            quoted[place] = mime.quoted(pieces[place])
        last = next((piece for piece in reversed(pieces) if piece), "")
        if not last.endswith("\r\n"):
            quoted.append(b"\r\n")
        return "quoted-printable", b"".join(quoted)

    def _lacks(self, name: str) -> MissingField:
        bare = (piece for piece in self._compiled.pieces or () if isinstance(piece, Slot) and piece.default is None)
        return self._compiled.lacks(name, next(piece.line for piece in bare if piece.field == name))


class LiquidPart:
    """A part with tags or filters: Liquid renders it; what the law wants is appended where it is missing."""

    __slots__ = ("_compiled", "_footer")

    def __init__(self, compiled: CompiledPart, footer: Footer | None = None) -> None:
        self._compiled = compiled
        self._footer = footer

    def line(self, values: Mapping[str, str]) -> str:
        """As DirectPart.line."""
        for name in self._compiled.variables:
            if value := values.get(name):
                checked(value, name)
        subject = self._compiled.render(values).replace("\t", " ")
        return one_line(addresses.header_text(subject, "The subject"))

    def body(self, values: Mapping[str, str]) -> mime.Body:
        """As DirectPart.body."""
        text = self._compiled.render(values)
        if self._footer:
            signature = "signature" not in self._compiled.variables
            added = self._footer.missing_from(text, values["unsubscribe_url"], signature=signature)
            if added:
                at = self._footer.place_in(text)
                shown = [values.get(piece.field, "") if isinstance(piece, Slot) else piece for piece in added]
                text = text[:at] + "".join(shown) + text[at:]
        return mime.body(ended(text.replace("\n", "\r\n")))


@dataclass(frozen=True, slots=True)
class Footer:
    """What stands below a part that does not show it itself: signature, postal address, visible unsubscribe link."""

    html: bool
    label: str
    postal_address: str

    def pieces(self, *, link: bool, address: bool, signature: bool) -> list[str | Slot]:
        """Return what is to be appended; [] for nothing. In text all of it stands below one line of `-- `."""
        address = address and bool(self.postal_address)
        signed: list[str | Slot] = [ABOVE if link or address else ALONE] if signature else []
        if not link and not address:
            return signed
        if not self.html:
            lines = ["\n\n-- \n", *signed, self.postal_address + "\n" if address else ""]
            return [*lines, f"{self.label}: ", LINK, "\n"] if link else lines
        shown = str(escape(self.postal_address)).replace("\n", "<br>\n")
        opening = '\n<p style="font-size:12px;color:#595959">' + (shown if address else "")
        if not link:
            return [*signed, opening + "</p>\n"]
        gap = "<br>\n" if address else ""
        return [*signed, f'{opening}{gap}<a href="', LINK, f'">{escape(self.label)}</a></p>\n']

    def missing_from(self, text: str, url: str, *, signature: bool) -> list[str | Slot]:
        """Return what a finished text does not show; the signature where its template has no place for it."""
        seen = without_comments(text) if self.html else text
        first_line = self.postal_address.split("\n")[0]
        address = str(escape(first_line)) if self.html else first_line
        return self.pieces(link=url not in seen, address=address not in seen, signature=signature)

    def place_in(self, text: str) -> int:
        """Return where in the text the footer belongs: the end, in html before the end of the body."""
        if not self.html:
            return len(text)
        end = text.lower().rfind("</body")
        inside_comment = text.rfind("<!--", 0, max(end, 0)) > text.rfind("-->", 0, max(end, 0))
        return len(text) if end < 0 or inside_comment else end

    def into(self, compiled: CompiledPart, source: str) -> list[str | Slot]:
        """Return the pieces of a direct part with what it does not show added."""
        pieces = compiled.pieces or ()
        shown = compile_part(compiled.part, without_comments(source)).variables if self.html else compiled.variables
        added = self.pieces(
            link="unsubscribe_url" not in shown,
            address="postal_address" not in shown,
            signature="signature" not in shown,
        )
        text = "".join(piece if isinstance(piece, str) else "\0" for piece in pieces)
        slots = [piece for piece in pieces if isinstance(piece, Slot)]
        at = self.place_in(text)
        before = text.count("\0", 0, at)
        slots[before:before] = [piece for piece in added if isinstance(piece, Slot)]
        text = text[:at] + "".join(piece if isinstance(piece, str) else "\0" for piece in added) + text[at:]
        return [piece for pair in zip_longest(text.split("\0"), slots) for piece in pair if piece is not None]


# --- Values ------------------------------------------------------------------------------------------


def clean(value: str) -> str:
    """Return a value for bodies: line ends as \\n, no other control characters, no lone surrogates."""
    value = value.replace("\r\n", "\n").replace("\r", "\n")
    return CONTROLS.sub("", value)


def signed(signature: str, *, html: bool) -> dict[str, str]:
    """Return a mailbox's signature as values of a part: where a template places it, and below the part."""
    text = clean(signature).strip("\n") if signature.strip() else ""
    if html:
        shown = in_html(text)
        below = Markup("\n<p>{}</p>").format(shown) if text else shown
        return {"signature": shown, SIGNED_ABOVE: below, SIGNED_ALONE: below}
    return {
        "signature": text,
        SIGNED_ABOVE: f"{text}\n\n" if text else "",
        SIGNED_ALONE: f"\n\n-- \n{text}\n" if text else "",
    }


def in_html(text: str) -> Markup:
    """Return plain text as html in one line: escaped, its line ends as <br>."""
    return Markup("<br>").join(text.split("\n"))


def checked(value: str, name: str) -> str:
    """Return a value for a header. Raises HeaderInjection that names the field."""
    if value.isprintable() and "=?" not in value:
        return value
    return addresses.header_text(value.replace("\t", " "), f"The field {name}")


def one_line(subject: str) -> str:
    return BLANKS.sub(" ", subject).strip() if "  " in subject else subject.strip()


def ended(text: str) -> str:
    return text if text.endswith("\r\n") else text + "\r\n"


def without_comments(html: str) -> str:
    """Return the html without its comments; one that never closes hides the rest, as in a browser."""
    kept, position = [], 0
    while (start := html.find("<!--", position)) >= 0:
        kept.append(html[position:start])
        end = html.find("-->", start + 4)
        if end < 0:
            return "".join(kept)
        position = end + 3
    return "".join(kept) + html[position:]
