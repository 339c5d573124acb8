"""A text part from an html template: paragraphs, lists, quotes, tables as lines, links as `words <address>`.

The html is a template too. Its `{{ }}` come along where a reader sees them; its tags come along everywhere, so
that what was opened is closed; none of it is looked into. Links follow RFC 3986, appendix C.

Read by a scanner of its own, in one pass: the standard library's parser takes a minute over 400 kB of `<!--`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import unescape

OPENER = re.compile(r"\{[{%]")
RAW = re.compile(r"\{%-?\s*raw\s*-?%\}(.*?)\{%-?\s*endraw\s*-?%\}", re.DOTALL)
PLACE = re.compile("\ue000(\\d+)\ue001")  # stands for a construct while the html is read
PLACES = re.compile("(\ue000\\d+\ue001)")
WHITE = re.compile(r"[ \t\n\r\f]+")
GAPS = re.compile(r"\n{3,}")
BRACE = re.compile("\\{(?=[{%\ue000])")  # a written brace that would begin a construct
WORDS = re.compile(r"\{[{%]\s*(\w+)")

TAG = re.compile(r"</?([A-Za-z][^\s/>]*+)((?:[^\"'>]++|\"[^\"]*+\"|'[^']*+')*+)>")
ATTRIBUTE = re.compile(r"([^\s=/\"'>]+)(?:\s*+=\s*+(?:\"([^\"]*)\"|'([^']*)'|([^\s>]+)))?")
NAMED = re.compile(r"</?[A-Za-z]")

PARAGRAPHS = frozenset(
    {"address", "article", "aside", "blockquote", "dl", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6"}
    | {"header", "hr", "main", "nav", "ol", "p", "pre", "section", "table", "ul"}
)
LINES = frozenset({"br", "caption", "center", "dd", "div", "dt", "figcaption", "li", "tr"})
CELLS = frozenset({"td", "th"})
UNSEEN = frozenset({"head", "object", "select", "svg", "template"})
WRITTEN_AS_IS = frozenset({"script", "style", "textarea", "title"})  # in these there are no elements; not seen either
CAN_HIDE = frozenset({"div", "p", "span", "table", "td", "tr"})
HIDING = re.compile(r"display\s*:\s*none|mso-hide\s*:\s*all", re.IGNORECASE)
LINKED = re.compile("(?:https?:|mailto:|tel:|\ue000)", re.IGNORECASE)
SCHEME = re.compile(r"(?:https?://|mailto:|tel:)", re.IGNORECASE)
RULE = "-" * 10
DEEPEST = 8  # levels that are still set off, so that a line stays one


def from_html(source: str) -> str:
    """Return the text of an html template, as a template, with \\n at its lines' ends; "" when it shows no words.

    The constructs of the source are closed, which `template_source.check_tags` makes sure of.
    """
    constructs: list[str] = []
    reader = Reader(constructs)
    reader.read("".join(protected(source, constructs)))
    text = BRACE.sub("{% raw %}{{% endraw %}", reader.text())
    if not PLACES.sub("", text).strip() and not any(map(reader.is_output, PLACES.findall(text))):
        return ""
    return PLACE.sub(lambda place: constructs[int(place[1])], text)


def protected(source: str, constructs: list[str]) -> Iterator[str]:
    """Yield the source with a place for each construct, which goes to `constructs` without its whitespace marks."""
    source = re.sub("[\ue000\ue001]", "", source)
    position, trims = 0, False
    while opener := OPENER.search(source, position):
        before = source[position : opener.start()]
        raw = RAW.match(source, opener.start())
        end = source.find("%}" if opener[0] == "{%" else "}}", opener.end()) + 2
        inner = "" if raw else source[opener.end() : end - 2]
        before = before.lstrip() if trims else before
        yield before.rstrip() if inner.startswith("-") else before
        trims = inner.endswith("-") and len(inner) > 1
        if raw:
            yield raw[1]  # written braces are kept apart in the end
            position = raw.end()
            continue
        yield f"\ue000{len(constructs)}\ue001"
        constructs.append(opener[0] + inner.removeprefix("-").removesuffix("-") + source[end - 2 : end])
        position = end
    rest = source[position:]
    yield rest.lstrip() if trims else rest


class Reader:
    """Writes down what a reader of the html sees."""

    def __init__(self, constructs: list[str]) -> None:
        self._constructs = constructs
        self._out: list[str] = []
        self._gap = 0  # line ends to write before the next words
        self._at_start, self._after_blank, self._after_bullet = True, False, False
        self._lists: list[int | None] = []  # numbers of the next items; None without numbers
        self._quotes = self._pre = 0
        self._unseen: list[str] = []  # the element that hides what is in it, once for each of its kind inside
        self._links: list[tuple[str, int]] = []

    def text(self) -> str:
        """Return all of it, without blanks at line ends and with no more than one empty line at a time."""
        lines = "".join(self._out).replace("\xa0", " ").split("\n")
        return GAPS.sub("\n\n", "\n".join(line.rstrip() for line in lines)).strip("\n") + "\n"

    def read(self, html: str) -> None:
        """Take html in. What never closes hides the rest, as in a browser."""
        position, end = 0, len(html)
        while position < end:
            start = html.find("<", position)
            if start < 0:
                self._data(html[position:])
                return
            self._data(html[position:start])
            if html.startswith("<!--", start):
                position = self._past(html, "-->", start + 4)
            elif html.startswith(("<!", "<?"), start):
                position = self._past(html, ">", start + 2)
            elif not NAMED.match(html, start):
                self._data("<")
                position = start + 1
            elif tag := TAG.match(html, start):
                position = self._element(html, tag)
            else:
                position = self._past(html, "", end)

    def _past(self, html: str, closing: str, start: int) -> int:
        """Return where what begins at `start` and is not seen ends; its tags are taken along."""
        found = html.find(closing, start) if closing else -1
        end = len(html) if found < 0 else found
        self._tags_of(html[start:end])
        return end + len(closing)

    def _element(self, html: str, tag: re.Match[str]) -> int:
        name = tag[1].lower()
        if tag[0].startswith("</"):
            self._closed(name)
            return tag.end()
        attributes: dict[str, str] = {}
        for each in ATTRIBUTE.finditer(tag[2]):
            attributes.setdefault(each[1].lower(), unescape(each[2] or each[3] or each[4] or ""))
        self._tags_of(tag[2], but_not=attributes.get("href", "") if name == "a" else "")
        if name in WRITTEN_AS_IS:
            closing = re.compile(f"</{name}", re.IGNORECASE).search(html, tag.end())
            end = closing.start() if closing else len(html)
            self._tags_of(html[tag.end() : end])
            return end
        self._opened(name, attributes)
        return tag.end()

    def _opened(self, name: str, attributes: Mapping[str, str]) -> None:
        if self._unseen == ["p"] and name in PARAGRAPHS | {"div"}:
            self._unseen.clear()
        if self._unseen:
            if name == self._unseen[0]:
                self._unseen.append(name)
            return
        if name in UNSEEN or (name in CAN_HIDE and is_hidden(attributes)):
            self._unseen.append(name)
            return
        self._separate(name)
        if name in ("ul", "ol"):
            self._lists.append(1 if name == "ol" else None)
        elif name == "li":
            self._piece(self._bullet(), as_written=True)
            self._after_bullet = True
        elif name == "blockquote":
            self._quotes += 1
        elif name == "pre":
            self._pre += 1
        elif name == "hr":
            self._words(RULE)
            self._separate(name)
        elif name == "img":
            self._words(WHITE.sub(" ", attributes.get("alt", "")))
        elif name == "a":
            if self._links:  # there are no links in links
                self._link(*self._links.pop())
            self._links.append((WHITE.sub("", attributes.get("href", "")), len(self._out)))

    def _closed(self, name: str) -> None:
        if self._unseen:
            if name == self._unseen[0]:
                self._unseen.pop()
            return
        if name in ("ul", "ol") and self._lists:
            self._lists.pop()
        elif name == "blockquote":
            self._quotes = max(self._quotes - 1, 0)
        elif name == "pre":
            self._pre = max(self._pre - 1, 0)
        elif name == "a" and self._links:
            self._link(*self._links.pop())
        if name not in CELLS:
            self._separate(name)

    def _data(self, data: str) -> None:
        if self._unseen:
            self._tags_of(data)
        elif self._pre:
            for number, line in enumerate(unescape(data).split("\n")):
                self._gap = min(self._gap + 1, 2) if number else self._gap
                self._words(line, as_written=True)
        else:
            self._words(WHITE.sub(" ", unescape(data)))

    # --- what is written --------------------------------------------------------------------------------

    def _separate(self, tag: str) -> None:
        if self._after_bullet and tag not in ("ul", "ol", "li"):
            return  # a paragraph in an item begins behind its bullet
        if tag in PARAGRAPHS:
            self._gap = max(self._gap, 1 if self._lists else 2)
        elif tag in LINES:
            self._gap = max(self._gap + 1, 1) if tag == "br" else max(self._gap, 1)
        elif tag in CELLS and not self._after_blank:
            self._words(" ")

    def _bullet(self) -> str:
        indent = "  " * min(max(len(self._lists) - 1, 0), DEEPEST)
        number = self._lists[-1] if self._lists else None
        if number is None:
            return f"{indent}- "
        self._lists[-1] = number + 1
        return f"{indent}{number}. "

    def _words(self, text: str, *, as_written: bool = False) -> None:
        """Write text with its places; tags take no room and open no line."""
        for piece in PLACES.split(text):
            if piece.startswith("\ue000") and not self.is_output(piece):
                self._take_along(piece)
            elif piece:
                self._piece(piece, as_written)

    def _piece(self, piece: str, as_written: bool) -> None:
        starts_line = self._at_start or self._gap > 0
        if not as_written and (starts_line or self._after_blank):
            piece = piece.lstrip(" ")
        if not piece:
            return
        if self._gap and not self._at_start:
            self._out.append("\n" * min(self._gap, 2))
        if starts_line:
            self._out.append("> " * min(self._quotes, DEEPEST))
        self._out.append(piece)
        self._at_start, self._after_bullet, self._gap = False, False, 0
        self._after_blank = piece.endswith(" ")

    def _link(self, address: str, began: int) -> None:
        label = "".join(self._out[began:]).strip()
        if not LINKED.match(address) or shown(label) == shown(address):
            return
        self._words(f" <{address}>" if label else f"<{address}>")

    def _tags_of(self, text: str, *, but_not: str = "") -> None:
        """Take along the tags of a place that nobody sees; what such a tag writes is not for a reader."""
        for place in PLACES.findall(text):
            if not self.is_output(place) and place not in but_not and self._tag(place) != "cycle":
                self._take_along(place)

    def _take_along(self, place: str) -> None:
        if self._tag(place) == "for" and self._gap > 1 and not self._at_start:
            self._out.append("\n")  # the empty line stands once, and not before each of the items
            self._gap = 1
        self._out.append(place)

    def is_output(self, place: str) -> bool:
        """Whether the construct of the place writes something out."""
        return self._constructs[int(place[1:-1])].startswith("{{") or self._tag(place) == "cycle"

    def _tag(self, place: str) -> str:
        named = WORDS.match(self._constructs[int(place[1:-1])])
        return named[1] if named else ""


def shown(address: str) -> str:
    """Return what two writings of an address have in common."""
    return SCHEME.sub("", address).rstrip("/").lower()


def is_hidden(attributes: Mapping[str, str]) -> bool:
    return "hidden" in attributes or HIDING.search(attributes.get("style", "")) is not None
