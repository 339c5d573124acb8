"""What has to be in order before a tenant sends: pure rules over plain facts, so that pages and gates agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, slots=True)
class Facts:
    """A tenant's own columns and its record's, by name; `decided` are keys that a person has settled."""

    values: Mapping[str, Any]
    decided: frozenset[str] = field(default_factory=frozenset)

    def has(self, *names: str) -> bool:
        """All of them are filled."""
        return all(self.values.get(name) for name in names)


@dataclass(frozen=True, slots=True)
class Rule:
    """One row. `title` says what has to be there, `remedy` what to do; without `holds` a person decides."""

    key: str
    title: Any
    remedy: Any
    holds: Callable[[Facts, date], bool] | None = None

    @property
    def is_decided_by_person(self) -> bool:
        return self.holds is None


@dataclass(frozen=True, slots=True)
class Line:
    """How a rule stands for one tenant today."""

    rule: Rule
    is_green: bool


def _in_force(facts: Facts, today: date) -> bool:
    signed, ends = facts.values.get("contract_signed_on"), facts.values.get("contract_ends_on")
    return signed is not None and signed <= today and (ends is None or ends >= today)


def _dated(name: str) -> Callable[[Facts, date], bool]:
    def holds(facts: Facts, today: date) -> bool:
        on = facts.values.get(name)
        return on is not None and on <= today

    return holds


RULES = (
    Rule("company", _("legal name, register number, country"), _("Fill them in."),
         lambda facts, _: facts.has("legal_name", "register_number", "country")),
    Rule("postal_address", _("postal address"), _("It stands in every message; fill it in."),
         lambda facts, _: facts.has("postal_address")),
    Rule("privacy_url", _("privacy notice"), _("Write its https address."),
         lambda facts, _: str(facts.values.get("privacy_url", "")).startswith("https://")),
    Rule("owner", _("contact: owner"), _("Name somebody with an address."),
         lambda facts, _: facts.has("owner_name", "owner_email")),
    Rule("billing", _("contact: billing"), _("Name somebody with an address."),
         lambda facts, _: facts.has("billing_name", "billing_email")),
    Rule("abuse", _("contact: abuse"), _("Name somebody with an address."),
         lambda facts, _: facts.has("abuse_name", "abuse_email")),
    Rule("data_protection", _("contact: data protection"), _("Name somebody with an address."),
         lambda facts, _: facts.has("data_protection_name", "data_protection_email")),
    Rule("contract", _("contract in force"), _("Write the day it was signed; renew it when it has ended."), _in_force),
    Rule("dpa", _("data processing agreement"), _("Write the day it was signed."), _dated("dpa_signed_on")),
    Rule("authority", _("letter of authority for its domains"), _("Write the letter's day."),
         _dated("authority_letter_on")),
    Rule("countries", _("countries it may write to"), _("List at least one."),
         lambda facts, _: facts.has("allowed_countries")),
    Rule("bases", _("lawful bases it may rely on"), _("Choose at least one."),
         lambda facts, _: facts.has("allowed_bases")),
    Rule("volume", _("contracted volume"), _("Write the messages a month."),
         lambda facts, _: facts.has("contracted_volume")),
    Rule("provenance", _("origin of its lists looked at"),
         _("Look at where its contacts come from, and say that it is done, or why it is not needed.")),
)  # fmt: skip
BY_KEY = {rule.key: rule for rule in RULES}


def judge(facts: Facts, today: date) -> list[Line]:
    """Every row with its colour today, in the order of the list."""
    return [Line(rule, rule.key in facts.decided if rule.holds is None else rule.holds(facts, today)) for rule in RULES]
