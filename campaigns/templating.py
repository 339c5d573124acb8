"""Liquid for tenants: what a template may do, and every mistake as a sentence with step, part, line and
remedy.

Tenants write these templates, so they are hostile input: what the parser lets through or takes too long
over is refused in `template_source` before or after it; what may run, and how long, is in `sandbox`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from liquid import BoundTemplate, Environment, Token
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions.arguments import PositionalArgument
from liquid.builtin.expressions.filtered import FilteredExpression
from liquid.builtin.expressions.path import Path
from liquid.builtin.expressions.primitive import StringLiteral
from liquid.builtin.output import OutputNode
from liquid.exceptions import LiquidError, ResourceLimitError, UnknownFilterError
from liquid.expression import Expression

from campaigns import plain_text, sandbox
from campaigns.sandbox import FILTERS, SYSTEM_FIELDS
from campaigns.template_source import Part, check_nodes, check_tags, first_line, line_of, line_of_error, syntax_error
from outreach.common import addresses
from outreach.common.errors import BadInput, OutreachError

CONTACT_FIELDS = frozenset(
    {"email", "first_name", "last_name", "company", "country", "time_zone", "person_kind", "source"}
)

MAX_SOURCE_CHARS = {"subject": 2_000, "text": 200_000, "html": 400_000}
GAPS = re.compile(r"\n{3,}")


class TemplateTooCostly(OutreachError):
    """A render ran into a limit: the template's fault, so the campaign pauses and no recipient fails."""

    code, http_status = "template_too_costly", 400


class MissingField(OutreachError):
    """The template writes out what this person has not, and names no default: they get no mail.

    Names field, part and line, never a value.
    """

    code, http_status = "missing_field", 400


@dataclass(frozen=True, slots=True)
class Slot:
    """One `{{ field }}` or `{{ field | default: "x" }}`; the default is ready for output, None where there is none."""

    field: str
    default: str | None
    line: int = 1


@dataclass(frozen=True, slots=True)
class CompiledPart:
    """One part, parsed. variables: names of the table that it reads. pieces: the whole part as text and
    slots in turn, when it has nothing but these; else None, and `render` has to run Liquid."""

    part: Part
    where: str
    template: BoundTemplate
    variables: frozenset[str]
    pieces: tuple[str | Slot, ...] | None

    @property
    def is_made(self) -> bool:
        """Whether the part was made from another one."""
        return self.template.env is sandbox.FROM_HTML

    def render(self, fields: Mapping[str, str], *, strict: bool = True) -> str:
        """Return the part for one recipient by Liquid; an empty field is a missing one.

        Raises TemplateTooCostly, and MissingField unless not strict: then what is missing is left out.
        """
        given = {name: value for name, value in fields.items() if value}  # to Liquid an empty string is true
        sandbox.start_counting(strict=strict)
        try:
            text = self.template.render({**given, "contact": given})
        except ResourceLimitError as error:
            raise TemplateTooCostly(
                f"{self.where}: it takes more work or gives more text than a message may ({error.message}). "
                "Take out loops or long texts.",
                part=self.part,
            ) from error
        except sandbox.MissingValue as error:
            source = self.template.nodes[0].token.source
            raise self.lacks(error.name, line_of(source, error.index or 0)) from error
        except (LiquidError, RecursionError, ValueError, TypeError) as error:
            line = line_of_error(error)
            raise BadInput(
                f"{self.where}, line {line}: it can't be rendered: {first_line(error)}.", part=self.part, line=line
            ) from error
        return GAPS.sub("\n\n", text).lstrip("\n") if self.is_made else text

    def lacks(self, field: str, line: int) -> MissingField:
        """The error for a person without a field that the part writes out."""
        return MissingField(
            f"{self.where}, line {line}: the contact has no {field}. Fill it in, or give a default for it: "
            f'{{{{ {field} | default: "..." }}}}.',
            field=field,
            part=self.part,
            line=line,
        )


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

    text: empty, it is made from the html. step: how messages name it, as in "Step 2". free_fields: names of the
    list's free columns; None skips the check for unknown names. is_first: a first step may not pretend to be an
    answer ("Re:", "Fwd:"). Raises BadInput with step, part, line and remedy; TemplateTooCostly when a limit stops
    the trial.
    """
    if not subject.strip():
        raise BadInput(f"{step} has no subject. Write one.", part="subject")
    if re.search(r"[\r\n\x0b\x0c\x85\u2028\u2029]", subject.strip("\r\n")):
        raise BadInput(f"{step}, subject: it has a line break in it. Write it on one line.", part="subject", line=2)
    try:
        addresses.header_text(subject.strip("\r\n").replace("\t", " "), f"{step}, subject, line 1")
    except addresses.HeaderInjection as error:
        raise BadInput(str(error), part="subject", line=1) from error
    if is_first and ANSWER.match(subject):
        raise BadInput(
            f"{step}, subject: it begins like an answer to a mail that was never sent. "
            f"Take out {subject.split(':')[0].strip()}:",
            part="subject",
            line=1,
        )
    if not text.strip() and not html.strip():
        raise BadInput(f"{step} has neither a text nor an html part. Write one.", part="text")
    of_html = compile_part("html", html, step=step) if html.strip() else None
    compiled = CompiledStep(
        compile_part("subject", subject.strip("\r\n"), step=step),
        compile_part("text", text, step=step) if text.strip() else text_from_html(html, step=step),
        of_html,
    )
    if "signature" in compiled.subject.variables:
        raise BadInput(f"{step}, subject: a signature has several lines. Take it out.", part="subject", line=1)
    if free_fields is not None:
        refuse_unknown(compiled, free_fields, step)
    empty = dict.fromkeys(compiled.variables, "")
    filled = dict.fromkeys(compiled.variables, "Sample value")
    for part in compiled.parts:
        for fields in (empty, filled):
            rendered = part.render(fields, strict=False)
        if part.part == "subject" and re.search(r"[\r\n]", rendered):
            raise BadInput(f"{step}, subject: it gives a line break. Take it out of its tags.", part="subject", line=1)
    return compiled


def text_from_html(html: str, *, step: str = "The step") -> CompiledPart:
    """Return the text part that an html part gives, parsed. Raises BadInput; its lines are those of the text."""
    text = plain_text.from_html(normalized(html))
    if not text.strip():
        raise BadInput(f"{step}, text: the html shows no words to make it from. Write a text part.", part="text")
    try:
        return compile_part("text", text, step=step, environment=sandbox.FROM_HTML)
    except BadInput as error:
        raise BadInput(f"{error} Or write a text part of its own.", **error.details) from error


def normalized(source: str) -> str:
    """Return a source with line ends as \\n and without NUL."""
    return source.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")


def compile_part(
    part: Part, source: str, *, step: str = "The step", environment: Environment | None = None
) -> CompiledPart:
    """Return one part, parsed, with line ends as \\n. Raises BadInput with step, part, line and remedy."""
    where = f"{step}, {part}" if environment is None else f"{step}, text made from the html"
    source = normalized(source)
    limit = MAX_SOURCE_CHARS[part]
    if len(source) > limit:
        raise BadInput(f"{where}: it has {len(source):,} characters; at most {limit:,} are possible.", part=part)
    check_tags(source, where, part)
    environment = environment or (sandbox.HTML if part == "html" else sandbox.PLAIN)
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


def field_name(segments: list[Any], where: str, part: Part, line: int) -> str:
    """Return the field that a path reads: `x`, `contact.x`, `contact["x y"]`, each also with .size."""
    names = segments[1:] if segments[0] == "contact" else segments
    if names and isinstance(names[0], str) and names[1:] in ([], ["size"]):
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
        elif type(node) is OutputNode and (slot := slot_of(node.expression, node.token)):
            pieces.append(slot)
        else:
            return None
    return tuple(pieces)


def slot_of(expression: Expression, token: Token) -> Slot | None:
    if type(expression) is not FilteredExpression or type(expression.left) is not Path:
        return None
    path = expression.left.path
    names = path[1:] if path[0] == "contact" else path
    if len(names) != 1 or not isinstance(names[0], str):
        return None
    if not expression.filters:
        is_ours = names[0] in SYSTEM_FIELDS
        return Slot(names[0], "" if is_ours else None, line_of(token.source, token.start_index))
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
