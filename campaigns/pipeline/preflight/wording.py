"""What is written: steps and their variants can be parsed, and people have the fields that they write out."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from campaigns.findings import Finding, Level
from campaigns.ledger import lacking
from campaigns.pipeline.preflight.ground import Ground
from campaigns.required_fields import required_fields
from outreach.common.errors import OutreachError
from outreach.common.links import Link


def steps(ground: Ground) -> Iterator[Finding]:
    """Every step can be sent; the first claims no earlier mail ("Re:"), a follow-up may."""
    page = Link("campaigns_step", {"campaign__id__exact": ground.campaign.pk})
    if not ground.wordings:
        text = _("The campaign has no step, so there is nothing to send.")
        yield Finding("no_step", Level.ERROR, text, rows=ground.own_page)
    for each in ground.wordings:
        lacks = []
        if not each.subject.strip():
            lacks.append(_("%s has no subject.") % each.name)
        if not each.text.strip() and not each.html.strip():
            lacks.append(_("%s has no text and no html; write one of them.") % each.name)
        if not lacks:
            try:
                each.compiled()
            except OutreachError as error:
                lacks.append(str(error))
        for n, text in enumerate(lacks):
            code = f"step:{each.name.removeprefix('Step ')}" + (f":{n + 1}" if n else "")
            yield Finding(code, Level.ERROR, text, rows=page)


def fields(ground: Ground) -> Iterator[Finding]:
    """Of each field that a wording writes out without a default: how many people have none."""
    named: dict[str, str] = {}
    for wording, compiled in ground.sound:
        for name in compiled.unknown(()):
            named.setdefault(name, wording.name)
    required: dict[str, str] = {}
    for wording, compiled in ground.sound:
        for name in required_fields(compiled):
            required.setdefault(name, wording.name)
    asked = sorted({*named, *required})
    if not asked or ground.campaign.contact_list_id is None:
        return
    lacked = lacking.counts(ground.campaign.contact_list_id, asked)
    for name in asked:
        count, step = lacked.get(name, 0), named.get(name) or required[name]
        if name in named and count == ground.people:
            text = _(
                "%(step)s writes {{ %(name)s }}, and no contact of the list has such a field; "
                "correct the name or import the column."
            )
            yield Finding(
                f"unknown_field:{name}", Level.ERROR, text % {"step": step, "name": name}, rows=ground.members()
            )
        elif name in required and count:
            text = ngettext(
                "%(step)s writes {{ %(name)s }} without a default, and %(n)s person has none.",
                "%(step)s writes {{ %(name)s }} without a default, and %(n)s people have none.",
                count,
            ) % {"step": step, "name": name, "n": f"{count:,}"}
            remedy = _('Give a default, as in {{ %s | default: "..." }}, or fill it in.') % name
            yield Finding(
                f"missing_field:{name}", Level.WARNING, text, remedy, count, ground.people,
                ground.members(f"lacks:{name}"),
            )  # fmt: skip
