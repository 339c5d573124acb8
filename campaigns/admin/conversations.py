"""Who talks with a person, and is written to by no campaign until somebody says so."""

from __future__ import annotations

from django import forms
from django.contrib import admin
from django.db.models import Count, Q
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget

from campaigns.admin.searching import IndexedSearch
from campaigns.models import Conversation
from campaigns.services import conversations, replies
from tenants.admin.acting import ReasonForm
from tenants.admin.base import TenantAdmin
from tenants.admin.columns import link_to, row_link, since


class ReleaseForm(ReasonForm):
    """Why it is over, and for how long nothing is sent all the same."""

    quiet_days = forms.IntegerField(
        min_value=0, max_value=conversations.MOST_QUIET_DAYS, initial=0, widget=UnfoldAdminIntegerFieldWidget,
        label=_("Days without any mail"), help_text=_("0: campaigns go on at once. Not interested: half a year, say."),
    )  # fmt: skip


class AnsweredForm(forms.Form):
    """How it is known that somebody answered."""

    via = forms.ChoiceField(
        choices=[("marked", _("answered elsewhere, or by phone")), ("other_address", replies.VIAS["other_address"])],
        widget=UnfoldAdminSelectWidget,
        label=_("How it is known"),
    )


class Standing(admin.SimpleListFilter):
    """Whether a person talks with them, or they are left alone for a while."""

    title = _("standing")
    parameter_name = "standing"

    def lookups(self, request, model_admin):
        return [("talking", _("in conversation")), ("quiet", _("left alone"))]

    def queryset(self, request, queryset):
        if self.value() is None:
            return queryset
        return queryset.filter(conversation_since__isnull=self.value() == "quiet")


@admin.register(Conversation)
class ConversationAdmin(IndexedSearch, TenantAdmin):
    area = "campaigns"
    address_lookup = "address_hash"
    search_help_text = _("A whole e-mail address or a row number.")
    list_display = ("person", "name", "company", "since_when", "how", "quiet_until", "waiting", "tenant")
    list_filter = (Standing, "tenant")
    list_select_related = ("tenant",)
    ordering = ("-conversation_since", "-pk")
    sortable_by = ()
    actions = ("release",)
    fields = ("person", "name", "company", "conversation_since", "how", "quiet_until", "waiting", "tenant")

    def get_changelist_instance(self, request):
        """With the campaigns that wait, counted for the people of this page alone."""
        changelist = super().get_changelist_instance(request)
        shown = Conversation.objects.filter(pk__in=[row.pk for row in changelist.result_list])
        active = Count("enrolments", filter=Q(enrolments__status="active"))
        counts = dict(shown.order_by().values_list("pk").annotate(n=active))
        for row in changelist.result_list:
            row.active = counts.get(row.pk, 0)
        return changelist

    @admin.display(description=_("contact"))
    def person(self, row):
        return row_link("campaigns_contact", row.pk, row.email)

    @admin.display(description=_("name"))
    def name(self, row):
        return f"{row.first_name} {row.last_name}".strip()

    @admin.display(description=_("since"))
    def since_when(self, row):
        return since(row.conversation_since)

    @admin.display(description=_("by what"), empty_value="")
    def how(self, row):
        return replies.VIAS.get(row.conversation_via)

    @admin.display(description=_("campaigns that wait"))
    def waiting(self, row):
        count = getattr(row, "active", _("enrolments"))
        return link_to("campaigns_enrolment", count, contact__id__exact=row.pk)

    @admin.action(description=_("Release"), permissions=["converse"])
    def release(self, request, queryset):
        question = _("Campaigns write to these people again. What their answer ended stays ended.")
        return self.ask(request, queryset, conversations.release, question=question, form_class=ReleaseForm)

    def has_converse_permission(self, request):
        return request.actor.can("campaigns.converse")
