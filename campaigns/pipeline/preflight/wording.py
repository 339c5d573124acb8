"""What is written: steps and their variants can be parsed, and people have the fields that they write out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import connection
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from psycopg import sql

from campaigns.findings import Finding, Level, Rows
from campaigns.models import Contact
from campaigns.pipeline.preflight.ground import Ground
from campaigns.required_fields import required_fields
from campaigns.templating import CONTACT_FIELDS
from outreach.common.errors import OutreachError


def steps(ground: Ground) -> Iterator[Finding]:
    """Every step can be sent; the first claims no earlier mail ("Re:"), a follow-up may."""
    page = Rows("campaigns_step", {"campaign__id__exact": ground.campaign.pk})
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
    lacking = _lacking(ground, asked)
    for name in asked:
        count, step = lacking[name], named.get(name) or required[name]
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


def _lacking(ground: Ground, names: list[str]) -> dict[str, int]:
    """People of the list without each field, in one pass."""
    own = CONTACT_FIELDS & {field.name for field in Contact._meta.get_fields()}
    counts = [
        sql.SQL("count(*) FILTER (WHERE ct.{} = '')").format(sql.Identifier(name))
        if name in own
        else sql.SQL("count(*) FILTER (WHERE coalesce(ct.fields ->> {}, '') = '')").format(sql.Literal(name))
        for name in names
    ]
    query: Any = sql.SQL(
        "SELECT {} FROM campaigns_listentry le JOIN campaigns_contact ct ON ct.id = le.contact_id "
        "WHERE le.contact_list_id = {}"
    ).format(sql.SQL(", ").join(counts), sql.Literal(ground.campaign.contact_list_id))
    with connection.cursor() as cursor:
        cursor.execute(query)
        return dict(zip(names, cursor.fetchone(), strict=True))
