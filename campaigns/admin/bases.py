"""On what ground a tenant may write to whom: the table that holds, and the tenant's own rules with their history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminSingleDateWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from campaigns import bases as rules
from campaigns.bases import Table
from campaigns.basis_table import KINDS, OTHERS, Ground
from campaigns.models import BasisRule, Contact
from campaigns.services import bases
from mailboxes.services import ramp
from outreach.common.errors import NeedsApproval
from tenants.admin.base import TenantAdmin
from tenants.models import Tenant
from tenants.services import actors

OWN, NOTHING, DEFAULT = "own", "nothing", "default"
HELP = _(
    "One ground a line: a basis, then what has to come with it. Bases: %(bases)s. Besides: %(terms)s, a time as "
    "6 months, evidence, address (a postal address in the mail). As in: implied_consent enquiry 6 months"
)


class RuleForm(forms.Form):
    """A tenant's own rule."""

    tenant = forms.ModelChoiceField(Tenant.objects.none(), label=_("Tenant"), widget=UnfoldAdminSelectWidget)
    country = forms.CharField(
        max_length=2,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        label=_("Country"),
        help_text=_("Two letters, as in DE; empty: unknown countries and all that have no row."),
    )
    person_kind = forms.ChoiceField(
        choices=[("", _("all kinds of people")), *Contact.PersonKind.choices],
        required=False,
        widget=UnfoldAdminSelectWidget,
        label=_("Who"),
    )
    what = forms.ChoiceField(
        choices=[(OWN, _("these grounds only")), (NOTHING, _("nobody may be written to")), (DEFAULT, _("the default"))],
        widget=UnfoldAdminSelectWidget,
        label=_("Allowed"),
    )
    grounds = forms.CharField(required=False, max_length=2000, widget=UnfoldAdminTextareaWidget, label=_("Grounds"))
    valid_from = forms.DateField(
        required=False, widget=UnfoldAdminSingleDateWidget, label=_("From"), help_text=_("Empty: from today on.")
    )
    reason = forms.CharField(
        max_length=bases.LONGEST_REASON,
        widget=UnfoldAdminTextInputWidget,
        label=_("What it rests on"),
        help_text=_("Who says so, and where."),
    )

    def __init__(self, *args: Any, tenants: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["tenant"].queryset = tenants  # type: ignore[attr-defined]
        self.fields["grounds"].help_text = HELP % {"bases": ", ".join(rules.BASES), "terms": ", ".join(rules.TERMS)}

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        written = values.get("grounds", "").strip()
        if values.get("what") == OWN:
            try:
                values["chosen"] = rules.as_json(rules.of_lines(written))
            except ValueError as error:
                self.add_error("grounds", str(error))
        elif written:
            self.add_error("grounds", _now("Leave this empty, or choose to allow these grounds only."))
        else:
            values["chosen"] = [] if values.get("what") == NOTHING else None
        return values


@dataclass(frozen=True, slots=True)
class Cell:
    """What one basis is worth: yes, no, or with conditions, each as a sentence."""

    state: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """One country and the kinds of people for whom the same holds."""

    country: str
    people: str
    cells: tuple[Cell, ...]
    is_own: bool
    number: int
    source: str
    checked: bool


def matrix(table: Table) -> list[Line]:
    """The table, a line for each country and group of kinds, the row of all others last."""
    lines = []
    for country in [*(code for code in table.countries if code != OTHERS), OTHERS]:
        groups: dict[Any, list[str]] = {}
        for kind in KINDS:
            if (cell := table.cell(country, kind)) is not None:
                groups.setdefault(cell, []).append(kind)
        for cell, kinds in groups.items():
            everybody = len(kinds) == len(KINDS)
            people = _now("all") if everybody else ", ".join(str(Contact.PersonKind(kind).label) for kind in kinds)
            found = tuple(_cell([one for one in cell.grounds if one.basis == basis]) for basis in rules.BASES)
            origin = cell.origin
            lines.append(Line(country, people, found, origin.is_own, origin.number, origin.source, origin.checked))
    return lines


def _cell(grounds: Sequence[Ground]) -> Cell:
    if not grounds:
        return Cell("no")
    conditions = [rules.conditions(ground) for ground in grounds]
    if not all(conditions):
        return Cell("yes")
    return Cell("paused", tuple(", ".join(found) for found in conditions))


@admin.register(BasisRule)
class BasisRuleAdmin(TenantAdmin):
    area = "campaigns"
    list_display = (
        "version",
        "where",
        "who",
        "allowed",
        "valid_from",
        "tenant",
        "reason",
        "approval_ref",
        "created_at",
    )
    list_display_links = ("version", "where")
    list_filter = ("tenant", "country")
    list_select_related = ("tenant",)
    search_fields = ("country", "reason")
    sortable_by = ("version", "valid_from")
    fields = ("tenant", "version", "where", "who", "allowed", "valid_from", "reason", "approval_ref", "created_at")
    list_before_template = "console/basis_rules.html"
    add_form, add_permission = RuleForm, "campaigns.set_basis_rules"

    def get_urls(self):
        view = self.admin_site.admin_view(self.table_view)
        return [path("table/", view, name="campaigns_basisrule_table"), *super().get_urls()]

    @admin.display(description=_("country"), ordering="country")
    def where(self, row):
        return row.country or _now("all others")

    @admin.display(description=_("who"))
    def who(self, row):
        return row.get_person_kind_display() or _now("all")

    @admin.display(description=_("allowed"))
    def allowed(self, row):
        if row.grounds is None:
            return _now("the default")
        return "; ".join(rules.told(ground) for ground in rules.of_json(row.grounds)) or _now("nobody")

    def table_view(self, request: Any) -> HttpResponse:
        """What holds for a tenant on a day (today, unless asked), with where each row is from."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        seen = self.visible_to(request, Tenant.objects.order_by("name"))
        slug = request.GET.get("tenant", "")[:60]
        tenant = seen.filter(slug=slug).first() if slug else seen.first()
        if tenant is None:
            raise Http404
        today = ramp.day_of(tenant)
        try:
            day = date.fromisoformat(request.GET.get("day", "")) if request.GET.get("day") else today
        except ValueError as error:
            raise Http404 from error
        table = bases.effective(tenant, day)
        known = bases.rules_of(tenant)
        add_url = f"{reverse('admin:campaigns_basisrule_add')}?{urlencode({'tenant': tenant.pk})}"
        own_url = f"{reverse('admin:campaigns_basisrule_changelist')}?{urlencode({'tenant__id__exact': tenant.pk})}"
        context = {
            **self.admin_site.each_context(request),
            "title": _now("Who may be written to: %s") % tenant.name,
            "opts": self.opts,
            "tenant": tenant,
            "tenants": seen[:200],
            "day": day,
            "version": table.version,
            "bases": list(rules.BASES.values()),
            "lines": matrix(table),
            "has_postal_address": table.has_postal_address,
            "coming": [row for row in known if row.valid_from > day],
            "own_url": own_url,
            "add_url": add_url if request.actor.can(self.add_permission, tenant.pk) else "",
        }
        return TemplateResponse(request, "console/basis_table.html", context)

    def add_view(self, request: Any, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        tenants = actors.visible_to(request.actor, Tenant.objects.order_by("name"), self.add_permission)
        initial = {name: request.GET[name][:20] for name in ("tenant", "country", "person_kind") if name in request.GET}
        form = RuleForm(request.POST or None, tenants=tenants, initial=initial)

        def save(values: dict[str, Any]) -> HttpResponse | BasisRule:
            tenant = values["tenant"]
            try:
                return bases.set_rule(
                    tenant, values["country"], values["chosen"], actor=request.actor, reason=values["reason"],
                    person_kind=values["person_kind"], valid_from=values["valid_from"],
                )  # fmt: skip
            except NeedsApproval as error:
                page = self.second_person(request, [error], ids=[])
                back = f"{reverse('admin:campaigns_basisrule_table')}?{urlencode({'tenant': tenant.slug})}"
                return page or HttpResponseRedirect(back)

        return self.form_page(request, form, title=_now("A rule of the tenant's own"), save=save)
