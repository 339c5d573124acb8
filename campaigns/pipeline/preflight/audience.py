"""The people of the list: whether their addresses are known to work, who is suppressed, where they live."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from django.db import connection
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from campaigns.findings import Finding, Level
from campaigns.models import Contact
from campaigns.pipeline import census
from campaigns.pipeline.gating import UNKNOWN_SHARE
from campaigns.pipeline.preflight.ground import Ground

MANY_RISKY = 0.1
MANY_INVALID = 0.02
MANY_SUPPRESSED = 0.1
LEAST = 50  # people before a share says anything about where a list comes from
SHOWN_COUNTRIES = 8

# The tenant's own entries only: of the platform's nobody learns how many there are.
SUPPRESSED = """
SELECT count(*) FROM campaigns_listentry le
JOIN campaigns_contact ct ON ct.id = le.contact_id
WHERE le.contact_list_id = %(contact_list)s AND EXISTS (
    SELECT FROM campaigns_suppression s
    WHERE s.hash = ct.address_hash AND s.lifted_at IS NULL AND s.tenant_id = %(tenant)s
      AND (s.campaign_id IS NULL OR s.campaign_id = %(campaign)s))"""

SUPPRESSED_WIDE = """
SELECT count(*) FROM campaigns_listentry le
JOIN campaigns_contact ct ON ct.id = le.contact_id
WHERE le.contact_list_id = %(contact_list)s AND EXISTS (
    SELECT FROM unnest(ct.domain_hashes || ct.address_hash) AS own (hash)
    JOIN campaigns_suppression s ON s.hash = own.hash
    WHERE s.lifted_at IS NULL AND s.tenant_id = %(tenant)s
      AND (s.campaign_id IS NULL OR s.campaign_id = %(campaign)s))"""

ANY_WIDE = """
SELECT EXISTS (
    SELECT FROM campaigns_suppression WHERE kind <> 'address' AND lifted_at IS NULL AND tenant_id = %(tenant)s)"""


def validity(ground: Ground) -> Iterator[Finding]:
    """Addresses are validated before anything is sent; what nobody could tell is a small part."""
    people = ground.people
    if not people:
        return
    counts = ground.by("validity")
    new, unknown = counts[Contact.Validity.NEW], counts[Contact.Validity.UNKNOWN]
    if new == people:
        text = _("Nobody of the list %s is validated, so nobody would be written to.") % ground.campaign.contact_list
        yield Finding(
            "nobody_validated", Level.ERROR, text, _("Validate the list."), new, people, ground.members("validity:")
        )
    elif new:
        text = ngettext(
            "%s person is not validated and stays out until that is done.",
            "%s people are not validated and stay out until that is done.",
            new,
        )
        yield Finding(
            "some_not_validated", Level.WARNING, text % f"{new:,}", _("Validate the list."), new, people,
            ground.members("validity:"),
        )  # fmt: skip
    if unknown > UNKNOWN_SHARE * people:
        text = _("Of %(n)s addresses, %(share)s of the list, nobody could tell whether they work; at most 5 %% may be.")
        yield Finding(
            "too_many_unknown", Level.ERROR, text % {"n": f"{unknown:,}", "share": percent(unknown, people)},
            _("Validate them again later, or take them out of the list."), unknown, people,
            ground.members("validity:unknown"),
        )  # fmt: skip
    elif unknown:
        text = _("Of %s addresses nobody could tell whether they work.") % f"{unknown:,}"
        yield Finding("some_unknown", Level.NOTE, text, "", unknown, people, ground.members("validity:unknown"))
    yield from _share(
        ground, "risky", counts[Contact.Validity.RISKY], MANY_RISKY, _("%(n)s addresses, %(share)s, are risky."),
        _("They bounce more often; take out those that nobody can vouch for."),
    )  # fmt: skip
    yield from _share(
        ground, "invalid", counts[Contact.Validity.INVALID], MANY_INVALID,
        _("%(n)s addresses, %(share)s, don't work and are left out."),
        _("So many say something about where the list comes from; look at its source."),
    )  # fmt: skip
    expired = ground.count(lambda group: group.expired)
    yield from _share(
        ground, "expired", expired, MANY_SUPPRESSED,
        _("The basis of %(n)s people, %(share)s, has expired; they are left out."),
        _("Renew it, or take them out of the list."),
    )  # fmt: skip


def suppressed(ground: Ground) -> Iterator[Finding]:
    """Whoever is suppressed is left out whatever is ticked here; many of them speak against the list."""
    if not ground.people:
        return
    values = {
        "tenant": ground.tenant.pk, "campaign": ground.campaign.pk, "contact_list": ground.campaign.contact_list_id,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(ANY_WIDE, values)
        cursor.execute(SUPPRESSED_WIDE if cursor.fetchone()[0] else SUPPRESSED, values)
        count = cursor.fetchone()[0]
    yield from _share(
        ground, "suppressed", count, MANY_SUPPRESSED, _("%(n)s people, %(share)s, are suppressed and are left out."),
        _("So many say that the list is old; look at its source."),
    )  # fmt: skip
    if count == ground.people:
        text = _("Everybody of the list %s is suppressed, so nobody would be written to.")
        yield Finding(
            "everybody_suppressed", Level.ERROR, text % ground.campaign.contact_list, "", count, ground.people,
            ground.members("suppressed"),
        )  # fmt: skip


def _share(ground: Ground, what: str, count: int, many: float, text: str, remedy: str) -> Iterator[Finding]:
    """A note, or a warning where they are many; whether that is so can't be said of a handful of people."""
    if not count:
        return
    people = ground.people
    level = Level.WARNING if people >= LEAST and count >= many * people else Level.NOTE
    only = what if what in ("suppressed", "expired") else f"validity:{what}"
    code = f"{'many' if level == Level.WARNING else 'some'}_{what}"
    sentence = text % {"n": f"{count:,}", "share": percent(count, people)}
    yield Finding(code, level, sentence, remedy if level == Level.WARNING else "", count, people, ground.members(only))


def countries(ground: Ground) -> Iterator[Finding]:
    """Where they live and on what basis they are written to, and who lives where the tenant may not write to."""
    if not ground.people:
        return
    counts = ground.by("country")
    labels = dict(Contact.Basis.choices)
    bases: dict[str, Counter[str]] = defaultdict(Counter)
    for group in ground.census:
        bases[group.country][group.basis] += group.count
    for country, count in counts.most_common(SHOWN_COUNTRIES):
        of_country = bases[country]
        parts = ", ".join(f"{labels.get(name, name)} {n:,}" for name, n in of_country.most_common())
        text = _("%(country)s: %(n)s people (%(parts)s).") % {
            "country": country or _("no country"), "n": f"{count:,}", "parts": parts,
        }  # fmt: skip
        yield Finding(
            f"country:{country}", Level.NOTE, text, "", count, ground.people, ground.members(f"country:{country}")
        )
    rest = len(counts) - SHOWN_COUNTRIES
    if rest > 0:
        text = ngettext("And %d more country.", "And %d more countries.", rest) % rest
        yield Finding("more_countries", Level.NOTE, text, rows=ground.members())
    yield from _held_by_rules(ground)


def _held_by_rules(ground: Ground) -> Iterator[Finding]:
    """Whose basis is not enough in their country, or not in the contract: they wait until something changes that."""
    if ground.campaign.contact_list is None:
        return
    found = census.census(ground.campaign.contact_list, ground.tenant, ground.today)
    held = [row for row in found if row.refused is not None and row.gate != "basis_expired"]
    level = Level.ERROR if sum(row.people for row in held) == ground.people else Level.WARNING
    people: Counter[tuple[str, str, str]] = Counter()
    why: dict[tuple[str, str, str], tuple[str, str]] = {}
    for row in held:
        key = (row.gate or "", row.country, row.basis)
        people[key] += row.people
        if row.refused is not None:
            why.setdefault(key, (row.refused.sentence, row.refused.remedy))
    for (gate, country, basis), count in people.most_common(SHOWN_COUNTRIES):
        sentence, remedy = why[gate, country, basis]
        text = ngettext("%(n)s person waits: %(why)s", "%(n)s people wait: %(why)s", count)
        yield Finding(
            f"{gate}:{country}:{basis}", level, text % {"n": f"{count:,}", "why": sentence}, remedy,
            count, ground.people, ground.members(f"country:{country}"),
        )  # fmt: skip
    rest = sum(people.values()) - sum(count for _key, count in people.most_common(SHOWN_COUNTRIES))
    if rest:
        text = ngettext("And %s more person waits.", "And %s more people wait.", rest) % f"{rest:,}"
        yield Finding("more_held_by_rules", level, text, "", rest, ground.people, ground.members())


def percent(count: int, total: int) -> str:
    """A share as people read it: 12 %, 0.4 %."""
    share = 100 * count / total if total else 0.0
    return f"{share:.0f} %" if share >= 10 or share == int(share) else f"{share:.1f} %"
