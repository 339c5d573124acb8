"""Whether somebody may be written to by the rules of his country: pure, the same for planner, preflight and explain.

`Table` is what holds for one tenant on one day: the default version with the tenant's own rules on top. The planner
asks the same question in SQL (campaigns.pipeline.bases), and a test holds the two against each other.
"""

from __future__ import annotations

import calendar
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from campaigns.basis_table import KINDS, OTHERS, Ground, Version, version_on

BASES: dict[str, Any] = {
    "consent": gettext_lazy("consent"),
    "existing_customer": gettext_lazy("existing customer"),
    "legitimate_interest": gettext_lazy("legitimate interest"),
    "implied_consent": gettext_lazy("implied consent"),
    "opt_out": gettext_lazy("opt-out rule of the country"),
}
# What may stand in Contact.basis_terms: what else somebody has found out and answers for.
TERMS: dict[str, Any] = {
    "uwg_7_3": gettext_lazy("all four conditions of UWG 7(3)"),
    "job_related": gettext_lazy("related to the person's job"),
    "published_for_purpose": gettext_lazy("address published for this purpose"),
    "business": gettext_lazy("from a purchase or contract"),
    "enquiry": gettext_lazy("from an enquiry"),
}
LONGEST_MONTHS = 600


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a cell is from: version `number` of the defaults, or rule `number` of the tenant's own (`is_own`)."""

    number: int
    is_own: bool = False
    source: str = ""
    checked: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """What holds for one kind of people in one country; no grounds: nobody may be written to."""

    grounds: tuple[Ground, ...]
    origin: Origin


@dataclass(frozen=True, slots=True)
class Own:
    """A rule of the tenant's own, as the table takes it. No kind: of all kinds. No grounds given: the default again."""

    number: int
    country: str
    person_kind: str
    grounds: tuple[Ground, ...] | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """The cells by country and kind; a country without cells has those of OTHERS.

    `has_postal_address`: the tenant has one, which every message then shows.
    """

    version: int
    cells: Mapping[tuple[str, str], Cell]
    has_postal_address: bool = True

    @property
    def countries(self) -> list[str]:
        """Those with cells of their own, OTHERS first."""
        return sorted({country for country, _kind in self.cells})

    def cell(self, country: str, person_kind: str) -> Cell | None:
        """None for a kind that there is not."""
        key = country if (country, KINDS[0]) in self.cells else OTHERS
        return self.cells.get((key, person_kind))

    def grounds(self, country: str, person_kind: str) -> tuple[Ground, ...]:
        """What may be relied on now: without what needs an address that the tenant has not."""
        cell = self.cell(country, person_kind)
        found = cell.grounds if cell else ()
        return tuple(ground for ground in found if self.has_postal_address or not ground.postal_address)


@dataclass(frozen=True, slots=True)
class Allowed:
    """By which ground, and the last day that it is good for; None: without end."""

    ground: Ground
    until: date | None


@dataclass(frozen=True, slots=True)
class Refused:
    """Why not: `reason` for machines, a sentence, and what would mend it.

    basis_expired, basis_not_yet, basis_none (nobody there may be written to), basis_other (not this basis),
    basis_terms, basis_evidence, basis_too_old, basis_address. `day` is the one that it hangs on; people refused for the
    same reason are refused alike, whatever their days.
    """

    reason: str
    sentence: str
    remedy: str
    day: date | None = field(default=None, compare=False)

    @property
    def told(self) -> str:
        """The sentence with its day and the remedy."""
        day = f" ({self.day.isoformat()})" if self.day else ""
        return f"{self.sentence.removesuffix('.')}{day}. {self.remedy}"


Verdict = Allowed | Refused


def table_of(version: Version, own: Iterable[Own] = (), *, has_postal_address: bool = True) -> Table:
    """The version's cells, with the tenant's own rules on top in the order of their coming: the last one holds."""
    defaults: dict[tuple[str, str], Cell] = {}
    for row in version.rows:
        origin = Origin(version.number, False, row.source, row.checked)
        for country in row.countries:
            for kind in row.kinds:
                defaults[country, kind] = Cell(row.grounds, origin)
    found = dict(defaults)
    chosen = sorted(own, key=lambda rule: rule.country != OTHERS)  # stable: the row of others first, as it is copied
    for rule in chosen:
        origin = Origin(rule.number, True, rule.reason)
        if (rule.country, KINDS[0]) not in found:
            found |= {(rule.country, kind): found[OTHERS, kind] for kind in KINDS}
        for kind in (rule.person_kind,) if rule.person_kind else KINDS:
            if rule.grounds is None:
                found[rule.country, kind] = defaults.get((rule.country, kind), found[OTHERS, kind])
            else:
                found[rule.country, kind] = Cell(rule.grounds, origin)
    return Table(version.number, found, has_postal_address)


@cache
def _defaults(version: Version) -> Table:
    return table_of(version)


def verdict(
    country: str,
    person_kind: str,
    basis: str,
    terms: Collection[str],
    basis_date: date,
    expires_on: date | None,
    on_day: date,
    *,
    evidence: bool = False,
    table: Table | None = None,
) -> Verdict:
    """Whether a contact with this may be written to on that day. Without a table: by the defaults of that day."""
    table = table or _defaults(version_on(on_day))
    if expires_on is not None and expires_on < on_day:
        return Refused("basis_expired", _("The basis has ended."), _("Get a new one."), expires_on)
    if basis_date > on_day:
        return Refused(
            "basis_not_yet",
            _("The basis dates from a day that is still to come."),
            _("Correct the date, or wait for it."),
            basis_date,
        )
    lasting = [
        (until, ground)
        for ground in table.grounds(country, person_kind)
        if ground.basis == basis and ground.terms <= set(terms) and (evidence or not ground.needs_evidence)
        for until in (_until(ground, basis_date, expires_on),)
        if until is None or until >= on_day
    ]
    if lasting:
        until, ground = max(lasting, key=lambda found: found[0] or date.max)
        return Allowed(ground, until)
    return _refusal(table, country, person_kind, basis, frozenset(terms), basis_date, evidence)


def _until(ground: Ground, basis_date: date, expires_on: date | None) -> date | None:
    ends = [expires_on] if expires_on else []
    if ground.max_months is not None:
        ends.append(add_months(basis_date, ground.max_months))
    return min(ends, default=None)


def _refusal(
    table: Table, country: str, person_kind: str, basis: str, terms: frozenset[str], basis_date: date, evidence: bool
) -> Refused:
    """The nearest thing that is missing: first of this basis, else what else would do."""
    where = country or _("an unknown country")
    cell = table.cell(country, person_kind)
    if cell is None or not cell.grounds:
        return Refused(
            "basis_none", _("Nobody of this kind may be written to in %s.") % where, _("Leave these people out.")
        )
    same = [ground for ground in cell.grounds if ground.basis == basis]
    usable = [ground for ground in same if table.has_postal_address or not ground.postal_address]
    with_terms = [ground for ground in usable if ground.terms <= terms]
    named = {"basis": BASES.get(basis, basis), "country": where}
    if not same:
        remedy = _("Allowed there: %s.") % "; ".join(told(ground) for ground in cell.grounds)
        return Refused(
            "basis_other", _("%(basis)s is no ground for mail to these people in %(country)s.") % named, remedy
        )
    if not usable:
        return Refused(
            "basis_address",
            _("Mail to %(country)s has to show a postal address, and the tenant has none.") % named,
            _("Fill in the tenant's postal address."),
        )
    if not with_terms:
        nearest = min(usable, key=lambda ground: (len(ground.terms - terms), sorted(ground.terms)))
        lacking = ", ".join(str(TERMS.get(term, term)) for term in sorted(nearest.terms - terms))
        return Refused(
            "basis_terms",
            _("%(basis)s is enough in %(country)s only with: %(terms)s.") % {**named, "terms": lacking},
            _("State it in basis_terms where it is so."),
        )
    if not evidence and all(ground.needs_evidence for ground in with_terms):
        return Refused(
            "basis_evidence",
            _("In %(country)s the sender has to be able to prove it, and no evidence is recorded.") % named,
            _("Record the evidence."),
        )
    months = max(ground.max_months or 0 for ground in with_terms if evidence or not ground.needs_evidence)
    return Refused(
        "basis_too_old",
        _("%(basis)s is good for %(months)d months in %(country)s, and they are over.") % {**named, "months": months},
        _("Get consent."),
        add_months(basis_date, months),
    )


def add_months(day: date, months: int) -> date:
    """The same day so many months later, the last one of a shorter month; as PostgreSQL adds an interval."""
    year, month = divmod(day.month - 1 + months, 12)
    year += day.year
    if year > date.max.year:
        return date.max
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def told(ground: Ground) -> str:
    """A ground as people read it: "implied consent (from an enquiry, for 6 months)"."""
    more, name = conditions(ground), str(BASES.get(ground.basis, ground.basis))
    return f"{name} ({', '.join(more)})" if more else name


def conditions(ground: Ground) -> list[str]:
    """What has to come with the basis, in words; nothing: it is enough by itself."""
    more = [str(TERMS.get(term, term)) for term in sorted(ground.terms)]
    if ground.max_months is not None:
        more.append(_("for %d months") % ground.max_months)
    if ground.needs_evidence:
        more.append(_("with evidence"))
    if ground.postal_address:
        more.append(_("with a postal address in the mail"))
    return more


# --- Tighter and looser -----------------------------------------------------------------------------------------


def covers(before: Ground, after: Ground) -> bool:
    """Whether everybody whom `after` lets be written to was so by `before`."""
    return (
        before.basis == after.basis
        and before.terms <= after.terms
        and (before.max_months is None or (after.max_months is not None and after.max_months <= before.max_months))
        and (after.needs_evidence or not before.needs_evidence)
        and (after.postal_address or not before.postal_address)
    )


def looser(before: Table, after: Table) -> list[tuple[str, str, Ground]]:
    """(country, kind, ground) of what the second table allows and the first did not. Only `OTHERS` stands for itself
    and for every country that neither table has a row for."""
    found = []
    for country in sorted({*before.countries, *after.countries}):
        for kind in KINDS:
            old, new = before.cell(country, kind), after.cell(country, kind)
            for ground in new.grounds if new else ():
                if not any(covers(one, ground) for one in (old.grounds if old else ())):
                    found.append((country, kind, ground))
    return found


# --- Grounds as JSON --------------------------------------------------------------------------------------------


def as_json(grounds: Sequence[Ground]) -> list[dict[str, Any]]:
    """As a rule of the tenant's own keeps them: whatever is not asked for is left out."""
    return [
        {
            "basis": ground.basis,
            **({"terms": sorted(ground.terms)} if ground.terms else {}),
            **({"max_months": ground.max_months} if ground.max_months is not None else {}),
            **({"needs_evidence": True} if ground.needs_evidence else {}),
            **({"postal_address": True} if ground.postal_address else {}),
        }
        for ground in sorted(grounds, key=_order)
    ]


def of_json(values: Any) -> tuple[Ground, ...]:
    """The grounds that `as_json` wrote, or a person. Raises ValueError with a sentence."""
    if not isinstance(values, list):
        raise ValueError(_("Write a list of grounds."))
    return tuple(sorted({_read(value) for value in values}, key=_order))


def of_lines(text: str) -> tuple[Ground, ...]:
    """Grounds as people write them, one a line: "implied_consent enquiry 6 months". Raises ValueError."""
    values = []
    for line in filter(None, map(str.strip, text.splitlines())):
        basis, *words = line.replace(",", " ").split()
        value: dict[str, Any] = {"basis": basis, "terms": []}
        for word, after in zip(words, [*words, ""][1:], strict=True):
            if word.isascii() and word.isdecimal() and len(word) < 4 and after.rstrip("s") == "month":
                value["max_months"] = int(word)
            elif word in ("evidence", "address"):
                value["needs_evidence" if word == "evidence" else "postal_address"] = True
            elif word.rstrip("s") != "month" or "max_months" not in value:
                value["terms"].append(word)
        values.append(value)
    if not values:
        raise ValueError(_("Write at least one ground, or choose that nobody may be written to."))
    return of_json(values)


def _order(ground: Ground) -> tuple[Any, ...]:
    return (list(BASES).index(ground.basis), sorted(ground.terms), ground.max_months or LONGEST_MONTHS + 1,
            ground.needs_evidence, ground.postal_address)  # fmt: skip


def _read(value: Any) -> Ground:
    if not isinstance(value, dict) or not set(value) <= {
        "basis", "terms", "max_months", "needs_evidence", "postal_address"
    }:  # fmt: skip
        raise ValueError(_("A ground has a basis, and perhaps terms, max_months, needs_evidence, postal_address."))
    basis, terms, months = value.get("basis"), value.get("terms", []), value.get("max_months")
    if not isinstance(basis, str) or basis not in BASES:
        raise ValueError(_("%(given)s is no basis; there are %(known)s.") % {"given": basis, "known": ", ".join(BASES)})
    if not isinstance(terms, list) or not set(map(str, terms)) <= TERMS.keys():
        raise ValueError(_("Terms are a list of these: %s.") % ", ".join(TERMS))
    if months is not None and (type(months) is not int or not 1 <= months <= LONGEST_MONTHS):
        raise ValueError(_("max_months is a whole number from 1 to %d.") % LONGEST_MONTHS)
    flags = [value.get(name, False) for name in ("needs_evidence", "postal_address")]
    if not all(type(flag) is bool for flag in flags):
        raise ValueError(_("needs_evidence and postal_address are true or false."))
    return replace(Ground(basis, frozenset(terms), months), needs_evidence=flags[0], postal_address=flags[1])
