"""Who of a list is meant by a number on the preflight page."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import BooleanField, Exists, F, Func, OuterRef, Q, QuerySet
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from campaigns.basis_table import OWED_NOTICE
from campaigns.models import Contact, Suppression
from campaigns.templating import CONTACT_FIELDS

CHOICES = (
    ("validity:", _("not validated yet")),
    ("validity:unknown", _("nobody knows whether it works")),
    ("validity:risky", _("risky")),
    ("validity:invalid", _("invalid")),
    ("suppressed", _("suppressed")),
    ("expired", _("basis expired")),
    ("owed_notice", _("owed the source and the privacy notice")),
)
MOST_CHARS = 200


class OnlyFilter(admin.SimpleListFilter):
    """?only= of entries of a list: validity:, basis:, country: and a value, lacks: and a field, or one of CHOICES."""

    title, parameter_name = _("who"), "only"

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, Any]]:
        given = request.GET.get(self.parameter_name, "")[:MOST_CHARS]
        return [*CHOICES, *([(given, given)] if given and given not in dict(CHOICES) else [])]

    def queryset(self, request: Any, queryset: QuerySet) -> QuerySet:
        value = (self.value() or "")[:MOST_CHARS]
        kind, _colon, rest = value.partition(":")
        columns = {"validity": "validity", "basis": "lawful_basis", "country": "country"}
        if kind in columns and ":" in value:
            return queryset.filter(**{f"contact__{columns[kind]}": rest})
        if kind == "lacks" and rest:
            return queryset.filter(lacking(rest))
        if value == "suppressed":
            return queryset.filter(Exists(covering()))
        if value == "expired":
            return queryset.filter(contact__basis_expires_on__lt=now().date())
        if value == "owed_notice":
            return queryset.filter(contact__country__in=OWED_NOTICE, contact__collected_directly=False)
        return queryset


def lacking(name: str) -> Q:
    """People without that field, be it a column of ours or one of their own."""
    own = CONTACT_FIELDS & {field.name for field in Contact._meta.get_fields()}
    if name in own:
        return Q(**{f"contact__{name}": ""})
    return ~Q(contact__fields__has_key=name) | Q(contact__fields__contains={name: ""})


class IsIn(Func):
    """Whether a value is in an array: an index serves it, as it would not serve &&."""

    template, arg_joiner, output_field = "(%(expressions)s))", " = ANY (", BooleanField()


def covering() -> QuerySet[Suppression]:
    """The tenant's own entries that hold for a person in all its campaigns."""
    own = Q(hash=OuterRef("contact__address_hash"))
    wide = Q(IsIn(F("hash"), OuterRef("contact__domain_hashes")))
    return Suppression.objects.filter(own | wide, lifted_at=None, campaign=None, tenant=OuterRef("tenant"))
