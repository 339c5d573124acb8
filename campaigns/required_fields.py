"""What a person must have to be written to: the fields that a step writes out in any case, without a default.

Never more than a render would miss: what stands in one branch only, or in a loop, is left to the render, which is
the last to look. So nobody is held up by this who could get the mail.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from liquid import RenderContext
from liquid.ast import BlockNode, Node
from liquid.builtin.expressions.filtered import FilteredExpression
from liquid.builtin.expressions.path import Path
from liquid.builtin.output import OutputNode
from liquid.builtin.tags.assign_tag import AssignNode
from liquid.builtin.tags.capture_tag import CaptureNode
from liquid.builtin.tags.case_tag import CaseNode
from liquid.builtin.tags.for_tag import ForNode
from liquid.builtin.tags.if_tag import IfNode
from liquid.builtin.tags.unless_tag import UnlessNode
from liquid.expression import Expression

from campaigns.sandbox import OF_NOTHING, SYSTEM_FIELDS
from campaigns.templating import CompiledPart, CompiledStep, Slot

Names = frozenset[str]
Locals = dict[str, Names]  # what a local value needs; nothing where that depends
NOTHING: Names = frozenset()


def required_fields(step: CompiledStep) -> Names:
    """Return the fields without any of which a person can't get the step: names of columns and of free fields."""
    return NOTHING.union(*(of_part(part) for part in step.parts))


def of_part(part: CompiledPart) -> Names:
    """Return the same of one part."""
    if part.pieces is not None:
        return frozenset(piece.field for piece in part.pieces if isinstance(piece, Slot) and piece.default is None)
    return needed(part.template.nodes, {}, RenderContext(part.template))


def needed(nodes: Iterable[Node], known: Locals, context: RenderContext) -> Names:
    """Return what these nodes need, one after the other; `known` gets the values that they assign."""
    found = NOTHING
    for node in nodes:
        if isinstance(node, OutputNode):
            found |= needed_by(node.expression, known)
        elif isinstance(node, AssignNode):
            known[str(node.name)] = needed_by(node.expression, known)
        elif isinstance(node, CaptureNode):
            found |= needed(node.block.nodes, known, context)
            known[str(node.name)] = NOTHING
        elif isinstance(node, IfNode | UnlessNode):
            rest = [block.block for block in node.alternatives]
            found |= in_one_of([node.consequence, *rest], node.default, known, context)
        elif isinstance(node, CaseNode):
            others = [block for block in node.blocks if isinstance(block, BlockNode)]
            cases = [block.block for block in node.blocks if not isinstance(block, BlockNode)]
            found |= in_one_of([*cases, *others[1:]], others[0] if others else None, known, context)
        elif isinstance(node, ForNode):
            forget(node, known, context)
    return found


def in_one_of(blocks: Sequence[BlockNode], rest: BlockNode | None, known: Locals, context: RenderContext) -> Names:
    """Return what each of the branches needs: one of them is taken if there is one for the rest."""
    every = [*blocks, rest] if rest else list(blocks)
    needs = [needed(block.nodes, dict(known), context) for block in every]
    for block in every:
        forget(block, known, context)
    return frozenset.intersection(*needs) if rest else NOTHING


def forget(node: Node, known: Locals, context: RenderContext) -> None:
    """Whatever is assigned below the node depends on what was taken."""
    waiting = [node]
    while waiting:
        below = waiting.pop()
        if isinstance(below, AssignNode | CaptureNode):
            known[str(below.name)] = NOTHING
        waiting.extend(below.children(context))


def needed_by(expression: Expression, known: Mapping[str, Names]) -> Names:
    """Return what must be there for the expression to be written out."""
    if isinstance(expression, Path):
        path = expression.path
        if isinstance(path[0], str) and path[0] in known:
            return known[path[0]]
        name = path[1] if path[0] == "contact" and len(path) > 1 else path[0]
        return frozenset({name}) if isinstance(name, str) and name not in SYSTEM_FIELDS else NOTHING
    if not isinstance(expression, FilteredExpression):
        return NOTHING
    found = needed_by(expression.left, known)
    for each in expression.filters or ():
        if each.name in OF_NOTHING:
            found = NOTHING
        else:
            found = found.union(*(needed_by(child, known) for child in each.children()))
    return found
