"""A template's source before and behind the parser: what it lets through or takes too long over is refused here.

Every refusal says step, part, line and remedy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from liquid import BoundTemplate, RenderContext
from liquid.ast import Node
from liquid.builtin.expressions.primitive import IntegerLiteral, RangeLiteral
from liquid.builtin.tags.for_tag import ForNode
from liquid.exceptions import LiquidError
from liquid.expression import Expression

from campaigns.sandbox import FILTERS, MAX_DEPTH, TAGS
from outreach.common.errors import BadInput

Part = Literal["subject", "text", "html"]

MAX_NODES = 10_000  # tags, fields and their operands
MAX_NODES_IN_LOOPS = 1_000  # with MAX_LOOP the most work that one render can do, some tenths of a second
MAX_RANGE = 200

OPENER = re.compile(r"\{[{%]")
TAG_NAME = re.compile(r"-?\s*(#|\w+)")
ENDRAW = re.compile(r"\{%-?\s*endraw\s*-?%\}")
BLOCKS = frozenset({"if", "unless", "case", "for", "capture", "comment"})
BRANCHES = frozenset({"else", "elsif", "when"})


def check_tags(source: str, where: str, part: Part) -> None:
    """Refuse, in one pass, what is not closed, opened or allowed: the parser takes long over such input."""

    def refuse(problem: str, index: int) -> BadInput:
        line = line_of(source, index)
        return BadInput(f"{where}, line {line}: {problem}", part=part, line=line)

    opened: list[tuple[str, int]] = []
    position = 0
    while opener := OPENER.search(source, position):
        start, is_tag = opener.start(), opener[0] == "{%"
        end = source.find("%}" if is_tag else "}}", opener.end())
        inner = source[opener.end() : end]
        if end < 0 or OPENER.search(inner):
            raise refuse(f"{opener[0]} is not closed. Close it, or put it between raw and endraw tags.", start)
        position = end + 2
        if not is_tag:
            continue
        named = TAG_NAME.match(inner)
        name = named[1] if named else ""
        if name == "raw":
            closing = ENDRAW.search(source, position)
            if closing is None:
                raise refuse("raw is not closed. Put an endraw tag behind it.", start)
            position = closing.end()
        elif name.startswith("end") and name[3:] in BLOCKS:
            if not opened or opened.pop()[0] != name[3:]:
                raise refuse(f"{name} closes nothing. Take it out, or open its {name[3:]} before it.", start)
        elif name in BLOCKS:
            opened.append((name, start))
        elif name not in TAGS | BRANCHES:
            raise refuse(f"there is no tag {name!r}. Tags are {', '.join(sorted(TAGS - {'#'}))} and raw.", start)
        if len(opened) > MAX_DEPTH:
            raise refuse(f"tags are nested more than {MAX_DEPTH} deep.", start)
    if opened:
        name, start = opened[-1]
        raise refuse(f"{name} is not closed. Put an end{name} tag behind it.", start)


def check_nodes(template: BoundTemplate, where: str, part: Part) -> None:
    """Refuse what the parser lets through: more nodes than a message needs, and open ranges."""
    count = in_loops = 0
    for node, looped in nodes_below(template):
        operands = list(expressions_below(node.expressions()))
        count += 1 + len(operands)
        in_loops += (1 + len(operands)) * looped
        line = line_of(node.token.source, node.token.start_index)
        if count > MAX_NODES or in_loops > MAX_NODES_IN_LOOPS:
            limit, place = (MAX_NODES, "it") if count > MAX_NODES else (MAX_NODES_IN_LOOPS, "its loops")
            raise BadInput(
                f"{where}, line {line}: more than {limit:,} tags and fields in {place}.", part=part, line=line
            )
        for operand in operands:
            if isinstance(operand, RangeLiteral) and not is_small(operand):
                raise BadInput(
                    f"{where}, line {line}: the range {operand} needs two whole numbers, at most {MAX_RANGE} apart.",
                    part=part,
                    line=line,
                )


def nodes_below(template: BoundTemplate) -> Iterable[tuple[Node, bool]]:
    """Yield every node, and whether it stands inside a loop."""
    context = RenderContext(template)
    waiting = [(node, False) for node in reversed(template.nodes)]
    while waiting:
        node, looped = waiting.pop()
        yield node, looped
        below = looped or isinstance(node, ForNode)
        waiting.extend((child, below) for child in node.children(context))


def expressions_below(expressions: Iterable[Expression]) -> Iterable[Expression]:
    waiting = list(expressions)
    while waiting:
        expression = waiting.pop()
        yield expression
        waiting.extend(expression.children())


def is_small(expression: RangeLiteral) -> bool:
    bounds = (expression.start, expression.stop)
    return (
        all(isinstance(bound, IntegerLiteral) for bound in bounds)
        and 0 <= bounds[1].value - bounds[0].value <= MAX_RANGE  # type: ignore[attr-defined]
    )


def line_of(source: str, index: int) -> int:
    return source.count("\n", 0, max(index, 0)) + 1


def syntax_error(error: Exception, where: str, part: Part, line: int = 1) -> BadInput:
    line = line_of_error(error, line)
    said = first_line(error)
    remedy = "Correct it."
    if "filter" in said:
        remedy = f"Filters are {', '.join(sorted(FILTERS))}."
    return BadInput(f"{where}, line {line}: {said}. {remedy}", part=part, line=line)


def line_of_error(error: Exception, line: int = 1) -> int:
    """The line that the parser names, or the given one."""
    context = error.context() if isinstance(error, LiquidError) else None
    return context[0] if context else line


def first_line(error: Exception) -> str:
    if isinstance(error, RecursionError) or isinstance(error.__cause__, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, LiquidError):
        return str(error.message or "it can't be read").splitlines()[0].rstrip(".")
    return type(error).__name__
