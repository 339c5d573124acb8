"""Liquid for tenants: what a template may do, and every mistake as a sentence with step, part, line and
remedy.

Tenants write these templates, so they are hostile input: what the parser lets through or takes too long
over is refused here before or after it; what may run, and how long, is in `sandbox`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from liquid import BoundTemplate, RenderContext
from liquid.ast import Node
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions.arguments import PositionalArgument
from liquid.builtin.expressions.filtered import FilteredExpression
from liquid.builtin.expressions.path import Path
from liquid.builtin.expressions.primitive import IntegerLiteral, RangeLiteral, StringLiteral
from liquid.builtin.output import OutputNode
from liquid.builtin.tags.for_tag import ForNode
from liquid.exceptions import LiquidError, ResourceLimitError, UnknownFilterError
from liquid.expression import Expression

from campaigns import sandbox
from campaigns.sandbox import FILTERS, MAX_DEPTH, TAGS
from outreach.common import addresses
from outreach.common.errors import BadInput, OutreachError

Part = Literal["subject", "text", "html"]

CONTACT_FIELDS = frozenset(
    {"email", "first_name", "last_name", "company", "country", "time_zone", "person_kind", "source"}
)
SYSTEM_FIELDS = frozenset({"unsubscribe_url", "postal_address", "sender_name", "sender_email"})

MAX_SOURCE_CHARS = {"subject": 2_000, "text": 200_000, "html": 400_000}
MAX_NODES = 10_000  # tags, fields and their operands
MAX_NODES_IN_LOOPS = 1_000  # with MAX_LOOP the most work that one render can do, some tenths of a second
MAX_RANGE = 200


class TemplateTooCostly(OutreachError):
    """A render ran into a limit: the template's fault, so the campaign pauses and no recipient fails."""

    code, http_status = "template_too_costly", 400


@dataclass(frozen=True, slots=True)
class Slot:
    """One `{{ field }}` or `{{ field | default: "x" }}`; the default is ready for output."""

    field: str
    default: str


@dataclass(frozen=True, slots=True)
class CompiledPart:
    """One part, parsed. variables: names of the table that it reads. pieces: the whole part as text and
    slots in turn, when it has nothing but these; else None, and `render` has to run Liquid."""

    part: Part
    where: str
    template: BoundTemplate
    variables: frozenset[str]
    pieces: tuple[str | Slot, ...] | None

    def render(self, fields: Mapping[str, str]) -> str:
        """Return the part for one recipient by Liquid; an empty field is a missing one. Raises TemplateTooCostly."""
        given = {name: value for name, value in fields.items() if value}  # to Liquid an empty string is true
        sandbox.start_counting()
        try:
            return self.template.render({**given, "contact": given})
        except ResourceLimitError as error:
            raise TemplateTooCostly(
                f"{self.where}: it takes more work or gives more text than a message may ({error.message}). "
                "Take out loops or long texts.",
                part=self.part,
            ) from error
        except (LiquidError, RecursionError, ValueError, TypeError) as error:
            raise BadInput(f"{self.where}: it can't be rendered: {first_line(error)}.", part=self.part) from error


@dataclass(frozen=True, slots=True)
class CompiledStep:
    """The parts of a step, parsed and tried once. html is None when the step has no html part."""

    subject: CompiledPart
    text: CompiledPart
    html: CompiledPart | None

    @property
    def parts(self) -> tuple[CompiledPart, ...]:
        return tuple(part for part in (self.subject, self.text, self.html) if part is not None)

    @property
    def variables(self) -> frozenset[str]:
        """Every name of the table that some part reads."""
        return frozenset().union(*(part.variables for part in self.parts))

    def unknown(self, free_fields: Collection[str]) -> list[str]:
        """Return, sorted, the names that neither contacts, nor the system, nor the free fields have."""
        return sorted(self.variables - CONTACT_FIELDS - SYSTEM_FIELDS - frozenset(free_fields))


ANSWER = re.compile(r"\s*(?:re|fwd?|aw|wg|sv|tr)\s*(?:\[\d+\])?:", re.IGNORECASE)  # how a subject claims earlier mail


def compile_step(
    subject: str,
    text: str,
    html: str = "",
    *,
    step: str = "The step",
    free_fields: Collection[str] | None = None,
    is_first: bool = False,
) -> CompiledStep:
    """Return the step, parsed and rendered once with empty and once with filled fields.

    step: how messages name it, as in "Step 2". free_fields: names of the list's free columns; None skips
    the check for unknown names. is_first: a first step may not pretend to be an answer ("Re:", "Fwd:").
    Raises BadInput with step, part, line and remedy; TemplateTooCostly when a limit stops the trial.
    """
    if not subject.strip():
        raise BadInput(f"{step} has no subject. Write one.", part="subject")
    if re.search(r"[\r\n\x0b\x0c\x85\u2028\u2029]", subject.strip("\r\n")):
        raise BadInput(f"{step}, subject: it has a line break in it. Write it on one line.", part="subject", line=2)
    try:
        addresses.header_text(subject.strip("\r\n").replace("\t", " "), f"{step}, subject")
    except addresses.HeaderInjection as error:
        raise BadInput(str(error), part="subject", line=1) from error
    if is_first and ANSWER.match(subject):
        raise BadInput(
            f"{step}, subject: it begins like an answer to a mail that was never sent. "
            f"Take out {subject.split(':')[0].strip()}:",
            part="subject",
            line=1,
        )
    if not text.strip():
        raise BadInput(f"{step} has no text part. Every message needs one, also beside html.", part="text")
    compiled = CompiledStep(
        compile_part("subject", subject.strip("\r\n"), step=step),
        compile_part("text", text, step=step),
        compile_part("html", html, step=step) if html.strip() else None,
    )
    if free_fields is not None:
        refuse_unknown(compiled, free_fields, step)
    empty = dict.fromkeys(compiled.variables, "")
    filled = dict.fromkeys(compiled.variables, "Sample value")
    for part in compiled.parts:
        for fields in (empty, filled):
            rendered = part.render(fields)
        if part.part == "subject" and re.search(r"[\r\n]", rendered):
            raise BadInput(f"{step}, subject: it gives a line break. Take it out of its tags.", part="subject", line=1)
    return compiled


def compile_part(part: Part, source: str, *, step: str = "The step") -> CompiledPart:
    """Return one part, parsed, with line ends as \\n. Raises BadInput with step, part, line and remedy."""
    where = f"{step}, {part}"
    source = source.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    limit = MAX_SOURCE_CHARS[part]
    if len(source) > limit:
        raise BadInput(f"{where}: it has {len(source):,} characters; at most {limit:,} are possible.", part=part)
    check_tags(source, where, part)
    environment = sandbox.HTML if part == "html" else sandbox.PLAIN
    try:
        template = environment.from_string(source)
        check_nodes(template, where, part)
        analysis = template.analyze()
    except (LiquidError, RecursionError) as error:
        raise syntax_error(error, where, part) from error
    for name, spans in analysis.filters.items():
        if name not in FILTERS:
            line = line_of(source, spans[0].index)
            raise syntax_error(UnknownFilterError(f"unknown filter {name!r}", token=None), where, part, line)
    names: set[str] = set()
    for variables in analysis.globals.values():
        for variable in variables:
            names.add(field_name(variable.segments, where, part, line_of(source, variable.span.index)))
    return CompiledPart(part, where, template, frozenset(names), pieces_of(template))


# --- Reading the parsed template --------------------------------------------------------------------------


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


def field_name(segments: list[Any], where: str, part: Part, line: int) -> str:
    """Return the field that a path reads: `x`, `contact.x`, `contact["x y"]`, each also with .size."""
    names = segments[1:] if segments[0] == "contact" else segments
    rest = names[1:]
    if names and isinstance(names[0], str) and (not rest or (len(rest) == 1 and rest[0] in ("size", "first", "last"))):
        return names[0]
    shown = ".".join(str(segment) for segment in segments)
    raise BadInput(
        f"{where}, line {line}: {shown} is not a field. Fields are single names, as in first_name or "
        "contact.first_name.",
        part=part,
        line=line,
    )


def pieces_of(template: BoundTemplate) -> tuple[str | Slot, ...] | None:
    """Return the template as text and slots in turn, None when it has anything else in it."""
    pieces: list[str | Slot] = []
    for node in template.nodes:
        if type(node) is ContentNode:
            pieces.append(node.text)
        elif type(node) is OutputNode and (slot := slot_of(node.expression)):
            pieces.append(slot)
        else:
            return None
    return tuple(pieces)


def slot_of(expression: Expression) -> Slot | None:
    if type(expression) is not FilteredExpression or type(expression.left) is not Path:
        return None
    path = expression.left.path
    names = path[1:] if path[0] == "contact" else path
    if len(names) != 1 or not isinstance(names[0], str):
        return None
    if not expression.filters:
        return Slot(names[0], "")
    only = expression.filters[0]
    if len(expression.filters) > 1 or only.name != "default" or len(only.args) != 1:
        return None
    argument = only.args[0]
    if type(argument) is PositionalArgument and type(argument.value) is StringLiteral:
        return Slot(names[0], argument.value.value)
    return None


def refuse_unknown(compiled: CompiledStep, free_fields: Collection[str], step: str) -> None:
    for part in compiled.parts:
        unknown = sorted(part.variables - CONTACT_FIELDS - SYSTEM_FIELDS - frozenset(free_fields))
        if unknown:
            known = sorted(CONTACT_FIELDS | SYSTEM_FIELDS | frozenset(free_fields))
            line = line_of_name(part.template, unknown[0])
            raise BadInput(
                f"{step}, {part.part}, line {line}: there is no field {', '.join(unknown)}. "
                f"Fields are {', '.join(known[:60])}.",
                part=part.part,
                line=line,
                unknown=unknown,
            )


def line_of_name(template: BoundTemplate, name: str) -> int:
    for variables in template.analyze().globals.values():
        for variable in variables:
            if name in variable.segments:
                return line_of(template.nodes[0].token.source, variable.span.index)
    return 1


def line_of(source: str, index: int) -> int:
    return source.count("\n", 0, max(index, 0)) + 1


def syntax_error(error: Exception, where: str, part: Part, line: int = 1) -> BadInput:
    if isinstance(error, LiquidError):
        context = error.context()
        line = context[0] if context else line
    said = first_line(error)
    remedy = "Correct it."
    if "filter" in said:
        remedy = f"Filters are {', '.join(sorted(FILTERS))}."
    return BadInput(f"{where}, line {line}: {said}. {remedy}", part=part, line=line)


def first_line(error: Exception) -> str:
    if isinstance(error, RecursionError) or isinstance(error.__cause__, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, LiquidError):
        return str(error.message or "it can't be read").splitlines()[0].rstrip(".")
    return type(error).__name__
