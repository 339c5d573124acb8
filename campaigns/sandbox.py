"""Liquid without doors: the tags, filters and bounds under which tenants' templates run.

A template sees a flat table of strings and nothing else. Loops, output, local values, nesting and the work
of filters are bounded by counts, not by a clock, so that the same template always ends the same way.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from liquid import BoundTemplate, Environment, Mode, RenderContext
from liquid.exceptions import ResourceLimitError
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

_work = threading.local()  # .left: characters that the filters of the render under way may still touch


class WorkLimitError(ResourceLimitError):
    """The filters of one render touched more text than a message can need."""


def bounded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that fails before it makes a text that is too long, and counts what it touches."""

    def run(value: object, *args: object, **kwargs: object) -> object:
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


def start_counting() -> None:
    """Give the render that begins on this thread the whole allowance of filter work."""
    _work.left = MAX_FILTER_WORK


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


PLAIN = TenantEnvironment(tolerance=Mode.STRICT, autoescape=False)
HTML = TenantEnvironment(tolerance=Mode.STRICT, autoescape=True)
