"""Liquid without doors: the tags, filters and bounds under which tenants' templates run.

A template sees a flat table of strings and nothing else. Loops, output, local values, nesting and the work
of filters are bounded by counts, not by a clock, so that the same template always ends the same way.
"""

from __future__ import annotations

import ast
import re
import threading
from collections.abc import Callable
from typing import Any

from liquid import BoundTemplate, Environment, Mode, RenderContext
from liquid.exceptions import ResourceLimitError
from liquid.undefined import Undefined
from liquid.utils import ReadOnlyChainMap

TAGS = frozenset({"assign", "break", "capture", "case", "comment", "continue", "cycle", "for", "if", "unless", "#"})
FILTERS = frozenset(
    {
        "append",
        "capitalize",
        "default",
        "downcase",
        "escape",
        "escape_once",
        "first",
        "join",
        "last",
        "lstrip",
    }
    | {
        "newline_to_br",
        "prepend",
        "remove",
        "remove_first",
        "replace",
        "replace_first",
        "rstrip",
        "size",
        "slice",
    }
    | {"split", "strip", "strip_newlines", "truncate", "truncatewords", "upcase", "url_encode"}
)
INNER_TAGS = frozenset({"content", "output", "illegal"})  # how the parser names text, {{ }} and what it doesn't know
MAX_OUTPUT_BYTES = 1_000_000
MAX_LOOP = 200
MAX_LOCALS_BYTES = 200_000
MAX_FILTER_CHARS = 100_000  # what one filter may return
MAX_FILTER_WORK = 2_000_000  # characters that all filters of one render may touch
MAX_DEPTH = 20

# What we fill in ourselves; it may be empty without holding up anybody.
SYSTEM_FIELDS = frozenset({"unsubscribe_url", "postal_address", "sender_name", "sender_email", "signature"})
ESCAPING = frozenset({"escape", "escape_once", "newline_to_br"})  # which a text made from html does without
OF_CONTACT = re.compile(r"contact(?:\.(\S+)|\[(.+)\]) is undefined\Z", re.DOTALL)  # the parser's words for a path
OF_NOTHING = frozenset({"default", "size"})  # filters that know what to make of a missing value

_work = threading.local()  # .left: characters that the filters of the render under way may still touch; .strict


class WorkLimitError(ResourceLimitError):
    """The filters of one render touched more text than a message can need."""


class MissingValue(Exception):
    """A render wanted to write out what the person has not. index: where in the source, None when unknown."""

    def __init__(self, name: str, index: int | None) -> None:
        super().__init__(name)
        self.name, self.index = name, index


class Missing(Undefined):
    """A value that is not there: false in conditions, empty in loops, and never written out.

    Filters hand it on, so that a `default` at the end of a chain still counts.
    """

    __slots__ = ()

    def __init__(self, name: str, *, hint: str | None = None, **place: Any) -> None:
        if name == "contact" and hint and (of_contact := OF_CONTACT.match(hint)):
            name = of_contact[1] or ast.literal_eval(of_contact[2])
        super().__init__(name, hint=hint, **place)

    def __str__(self) -> str:
        if self.name not in SYSTEM_FIELDS and getattr(_work, "strict", True):
            raise MissingValue(self.name, self.token.start_index if self.token else None)
        return ""


def bounded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that fails before it makes a text that is too long, and counts what it touches."""

    def run(value: object, *args: object, **kwargs: object) -> object:
        if name not in OF_NOTHING:
            for each in (value, *args):
                if isinstance(each, Missing):
                    return each
        size = extent(value)
        extra = max((extent(arg) for arg in args), default=0)
        if name in (
            "replace",
            "replace_first",
            "join",
        ):  # the only ones whose result is a product of two lengths
            pattern = str(args[0]) if args else ""
            items = str(value).count(pattern) if name == "replace" else len(value) if isinstance(value, list) else 1
            size += items * (extent(args[-1]) if args else 0)
        spend(size + extra + 20)
        if size + extra > MAX_FILTER_CHARS:
            raise WorkLimitError(f"filter '{name}' gives a text that is too long", token=None)
        result = function(value, *args, **kwargs)
        spend(extent(result))
        return result

    for mark in ("with_context", "with_environment"):
        if getattr(function, mark, False):
            setattr(run, mark, True)
    return run


def start_counting(*, strict: bool = True) -> None:
    """Give the render that begins on this thread the whole allowance of filter work.

    strict: a missing value that is to be written out raises MissingValue; else nothing is written.
    """
    _work.left, _work.strict = MAX_FILTER_WORK, strict


def extent(value: object) -> int:
    """Return about how many characters a value has; the items of a list count too."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, list | tuple):
        return sum(extent(item) + 8 for item in value)
    return 8


def spend(characters: int) -> None:
    _work.left = getattr(_work, "left", MAX_FILTER_WORK) - characters
    if _work.left < 0:
        raise WorkLimitError("the filters touch too much text", token=None)


class FieldsOnly(RenderContext):
    """A context that knows the given fields only: neither the clock (`now`, `today`) nor counters."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.scope = ReadOnlyChainMap(self.locals, self.globals)


class Template(BoundTemplate):
    context_class = FieldsOnly


class TenantEnvironment(Environment):
    """Liquid with the tags and filters of the lists above, and bounds on everything."""

    template_class = Template
    loop_iteration_limit = MAX_LOOP
    output_stream_limit = MAX_OUTPUT_BYTES
    local_namespace_limit = MAX_LOCALS_BYTES
    context_depth_limit = MAX_DEPTH
    block_nesting_limit = MAX_DEPTH

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=False)
        self.tags = {name: tag for name, tag in self.tags.items() if name in TAGS or name in INNER_TAGS}
        self.filters = {name: bounded(name, self.filters[name]) for name in sorted(FILTERS)}


class FromHtmlEnvironment(TenantEnvironment):
    """For a text that was made from an html template: what escapes for html gives its value as it is."""

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        self.filters |= {name: bounded(name, as_it_is) for name in sorted(ESCAPING)}


def as_it_is(value: object) -> object:
    return value


PLAIN = TenantEnvironment(tolerance=Mode.STRICT, autoescape=False, undefined=Missing)
HTML = TenantEnvironment(tolerance=Mode.STRICT, autoescape=True, undefined=Missing)
FROM_HTML = FromHtmlEnvironment(tolerance=Mode.STRICT, autoescape=False, undefined=Missing)
