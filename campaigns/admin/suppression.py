"""What must not be mailed."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from campaigns.admin.searching import IndexedSearch
from campaigns.models import Suppression
from campaigns.services import exporting, suppression
from tenants.admin.base import TenantAdmin
from tenants.admin.columns import labelled, row_link
from tenants.admin.exporting import Exports
from tenants.models import Tenant

PLATFORM = "platform"
ENTRIES = 1000  # by hand; more come through import_suppressions


def scopes() -> list[tuple[str, Any]]:
    """Each tenant, or the whole platform; nothing chosen beforehand, since a wrong scope stops mail."""
    tenants = [(str(tenant.pk), str(tenant)) for tenant in Tenant.objects.all()]
    return [("", _("choose")), *tenants, (PLATFORM, _("all tenants (platform scope)"))]


class SuppressionForm(forms.Form):
    """Entries, one a line, for one tenant or for all."""

    scope = forms.ChoiceField(choices=scopes, widget=UnfoldAdminSelectWidget, label=_("Holds for"))
    entries = forms.CharField(
        max_length=300_000,
        widget=UnfoldAdminTextareaWidget,
        label=_("Entries"),
        help_text=_("One a line: an address, a domain (example.com), or a domain and all below it (*.example.com)."),
    )
    reason = forms.ChoiceField(
        choices=[
            (Suppression.Reason.MANUAL, Suppression.Reason.MANUAL.label),
            (Suppression.Reason.OPT_OUT, Suppression.Reason.OPT_OUT.label),
            (Suppression.Reason.COMPLAINT, Suppression.Reason.COMPLAINT.label),
        ],
        widget=UnfoldAdminSelectWidget,
        label=_("Reason"),
    )
    source = forms.CharField(
        max_length=200, required=False, widget=UnfoldAdminTextInputWidget, label=_("Source"),
        help_text=_("Where they come from."),
    )  # fmt: skip
    proof = forms.CharField(
        max_length=500, required=False, widget=UnfoldAdminTextInputWidget, label=_("Proof"),
        help_text=_("Words, an address or a reference."),
    )  # fmt: skip

    def clean_scope(self) -> Tenant | None:
        scope = self.cleaned_data["scope"]
        return None if scope == PLATFORM else Tenant.objects.get(pk=scope)

    def clean_entries(self) -> list[str]:
        entries = [line.strip() for line in self.cleaned_data["entries"].splitlines() if line.strip()]
        if len(entries) > ENTRIES:
            raise forms.ValidationError(_("At most %d entries by hand; import longer lists.") % ENTRIES)
        return entries


@admin.register(Suppression)
class SuppressionAdmin(Exports, IndexedSearch, TenantAdmin):
    area = "campaigns"
    search_help_text = _(
        "A whole e-mail address (its domain's entries too), a domain, a mask as m***@example.com, or a row number."
    )
    list_display = (
        "what",
        "kind",
        "scope_label",
        "tenant",
        "campaign",
        "suppression_list",
        "reason_label",
        "via",
        "created_at",
        "lifted_at",
    )
    list_filter = ("scope", "kind", "reason", "tenant")
    linked_by = ("campaign__id__exact", "suppression_list__id__exact", "lifted_at__isnull")
    list_select_related = ("tenant", "campaign", "suppression_list")
    sortable_by = ()
    fields = (
        "what", "kind", "scope", "tenant", "campaign", "suppression_list", "reason", "source", "proof", "via",
        "message", "created_at", "lifted_at", "lift_reason",
    )  # fmt: skip
    actions = ("export", "lift")
    exported, exported_as = exporting.export_suppressions, "suppressions"
    add_form, add_permission = SuppressionForm, "campaigns.suppress"

    scope_label = labelled("scope", _("scope"))
    reason_label = labelled("reason", _("reason"))

    def visible_to(self, request, queryset):
        """Platform entries are for the platform's own people: a tenant learns nothing of them."""
        rows = super().visible_to(request, queryset)
        return rows if request.actor.can("campaigns.suppress_platform") else rows.exclude(tenant=None)

    def get_search_results(self, request, queryset, search_term):
        """By the hashes of whatever covers the address or domain, so that the answer is what the gates see."""
        term = search_term.replace("\x00", "").strip()
        if "***@" in term:
            return self.search_text(queryset, term), False
        hashes = suppression.covering(term)
        if hashes:
            return queryset.filter(hash__in=hashes), False
        return super().get_search_results(request, queryset, search_term)

    def search_text(self, queryset, term):
        return queryset.filter(hint=term.lower())

    @admin.display(description=_("entry"))
    def what(self, row):
        name = row.hint or row.domain
        return f"*.{name}" if row.kind == Suppression.Kind.WILDCARD else name

    def detail_actions(self, request: Any, row: Any) -> list[dict[str, str]]:
        offered = super().detail_actions(request, row)
        return [action for action in offered if action["name"] != "lift" or row.lifted_at is None]

    @admin.action(description=_("Lift"), permissions=["lift"])
    def lift(self, request, queryset):
        question = _("These people may be mailed again. Lift an opt-out only when they asked for it themselves.")
        return self.ask(request, queryset, suppression.lift, question=question)

    def has_lift_permission(self, request):
        return request.actor.can("campaigns.lift")

    @admin.display(description=_("message"))
    def message(self, row):
        return row_link("campaigns_message", row.message_ref, f"#{row.message_ref}")

    def add_with(self, request, values):
        entries = values.pop("entries")
        new = suppression.suppress(values.pop("scope"), entries, actor=request.actor, via="console", **values)
        text = ngettext("%d entry is new.", "%d entries are new.", new) % new
        self.message_user(request, text, messages.SUCCESS)
        return HttpResponseRedirect(reverse(self._named("changelist")))
