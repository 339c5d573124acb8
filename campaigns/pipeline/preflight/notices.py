"""What the law wants said: where an address comes from, how data is used, why the interest outweighs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from campaigns.basis_table import OWED_NOTICE, needs_source_notice
from campaigns.findings import Finding, Level
from campaigns.models import Contact
from campaigns.pipeline.parts import without_comments
from campaigns.pipeline.preflight.ground import Ground, Group, Wording
from outreach.common.links import Link

SOURCE = re.compile(r"\{\{-?\s*(?:contact\.)?source\b")
COMMENT, ENDCOMMENT = re.compile(r"\{%-?\s*comment\b[^%]*%\}"), re.compile(r"\{%-?\s*endcomment\s*-?%\}")
MOST_SOURCES = 20  # that a text could name one by one


def owed(group: Group) -> bool:
    """Whether the first mail to them has to name the source: they did not give the data themselves."""
    return needs_source_notice(group.country) and not group.collected_directly


def source_and_privacy(ground: Ground) -> Iterator[Finding]:
    """The first step names the source of the address and links the privacy notice, in each of its parts."""
    count = ground.count(owed)
    firsts = [each for each in ground.wordings if each.is_first]
    if not count or not firsts:
        return
    people = ngettext("%s person of the EEA or the UK", "%s people of the EEA and the UK", count) % f"{count:,}"
    members, values = ground.members("owed_notice"), {"people": people}
    page = Link("campaigns_step", {"campaign__id__exact": ground.campaign.pk})
    silent = [each.name for each in firsts if not _names_source(ground, each)]
    if silent:
        text = _("%(step)s does not name the source of the address, and %(people)s did not give it themselves.")
        yield Finding(
            "no_source_notice", Level.ERROR, text % (values | {"step": silent[0]}),
            _("Write {{ source }} into the text and the html, or the source in words."), count, ground.people, members,
        )  # fmt: skip
    url = ground.record.privacy_url
    if url:  # without one the checklist is red
        unlinked = [each.name for each in firsts if not all(url in part for part in _parts(each))]
        if unlinked:
            text = _("%(step)s does not link the privacy notice, which is owed to %(people)s.")
            yield Finding(
                "no_privacy_link", Level.ERROR, text % (values | {"step": unlinked[0]}),
                _("Put %s into the text and the html.") % url, count, ground.people, page,
            )  # fmt: skip


def _parts(wording: Wording) -> list[str]:
    """What is seen of each part."""
    text, html = uncommented(wording.text), without_comments(uncommented(wording.html))
    return [seen for seen, part in ((text, wording.text), (html, wording.html)) if part.strip()]


def uncommented(template: str) -> str:
    """A template without its Liquid comments; one that never closes hides the rest."""
    kept, position = [], 0
    while begins := COMMENT.search(template, position):
        kept.append(template[position : begins.start()])
        ends = ENDCOMMENT.search(template, begins.end())
        if ends is None:
            return "".join(kept)
        position = ends.end()
    return "".join(kept) + template[position:]


def _names_source(ground: Ground, wording: Wording) -> bool:
    if all(SOURCE.search(part) for part in _parts(wording)):
        return True
    of_list = Contact.objects.filter(entries__contact_list=ground.campaign.contact_list_id)
    theirs = of_list.filter(country__in=OWED_NOTICE, collected_directly=False)
    sources = list(theirs.order_by().values_list("source", flat=True).distinct()[: MOST_SOURCES + 1])
    return len(sources) <= MOST_SOURCES and all(
        source.casefold() in part.casefold() for part in _parts(wording) for source in sources
    )


def balancing_test(ground: Ground) -> Iterator[Finding]:
    """A legitimate interest has to be weighed, in writing, before it is relied on."""
    count = ground.count(lambda group: group.basis == Contact.Basis.LEGITIMATE_INTEREST)
    if count and not ground.campaign.balancing_test.strip():
        text = ngettext(
            "%s person is written to on the basis of a legitimate interest, and nobody has written down why it "
            "outweighs theirs.",
            "%s people are written to on the basis of a legitimate interest, and nobody has written down why it "
            "outweighs theirs.",
            count,
        )
        yield Finding(
            "no_balancing_test", Level.ERROR, text % f"{count:,}", _("Fill in the campaign's balancing test."), count,
            ground.people, ground.members("basis:legitimate_interest"),
        )  # fmt: skip
