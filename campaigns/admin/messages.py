"""The ledger: every mail, and every try that did not end in a 250."""

from __future__ import annotations

from django import forms
from django.contrib import admin
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextInputWidget

from campaigns import reports
from campaigns.admin.conversations import AnsweredForm
from campaigns.admin.searching import IndexedSearch, pk_of
from campaigns.models import Attempt, Message
from campaigns.services import outcomes, replies
from tenants.admin.base import TenantAdmin
from tenants.admin.columns import labelled, row_link, state


class EvidenceForm(forms.Form):
    """How it is known; kept with the message."""

    evidence = forms.CharField(max_length=500, widget=UnfoldAdminTextInputWidget, label=_("How it is known"))


@admin.register(Message)
class MessageAdmin(IndexedSearch, TenantAdmin):
    area = "campaigns"
    search_help_text = _("A whole e-mail address, a Message-ID, or a row number.")
    list_display = (
        "id",
        "recipient",
        "status_label",
        "reason",
        "campaign",
        "from_mailbox",
        "tries",
        "due_at",
        "sent_at",
    )
    list_filter = ("status", "outcome", "tenant")
    linked_by = (
        "campaign__id__exact", "mailbox__id__exact", "contact__id__exact", "enrolment__id__exact", "batch__id__exact",
        "step__id__exact", "variant__id__exact", "status__in", "day_on__exact",
        "replied_at__isnull", "opted_out_at__isnull",
    )  # fmt: skip
    list_select_related = ("contact", "campaign", "mailbox")
    sortable_by = ()
    change_form_outer_before_template = "console/why_message.html"
    change_form_outer_after_template = "console/message_attempts.html"
    fieldsets = (
        (None, {"fields": ("recipient", "from_mailbox", "campaign", "step", "variant", "tenant", "enrolment")}),
        (_("State"), {"fields": ("status_label", "reason", "tries", "reply_text")}),
        (_("Outcome"), {"fields": ("outcome_label", "outcome_reason", "outcome_at", "replied_at", "opted_out_at")}),
        (_("Times"), {"fields": ("planned_at", "due_at", "not_after", "sent_at", "lease_until", "day_on", "hour_at")}),
        (_("Identity"), {"fields": ("message_id", "wire_message_id", "content", "batch", "claim", "last_claim")}),
    )

    actions = ("settle_sent", "settle_failed", "mark_answered")

    status_label = labelled("status", _("status"))
    outcome_label = labelled("outcome", _("outcome"), hide=("",))

    def get_search_results(self, request, queryset, search_term):
        """A Message-ID looks like an address, so it is tried first."""
        bare = search_term.replace("\x00", "").strip().strip("<>")
        found = queryset.filter(message_id__in=[bare, f"<{bare}>"])
        if "@" in bare and found.exists():
            return found, False
        return super().get_search_results(request, queryset, search_term)

    def change_view(self, request, object_id, form_url="", extra_context=None):
        extra = dict(extra_context or {})
        row = self.get_object(request, object_id) if pk_of(object_id) is not None else None
        if row is not None:
            extra["attempts"] = reports.attempts(row)
        return super().change_view(request, object_id, form_url, extra)

    def detail_actions(self, request, row):
        offered = super().detail_actions(request, row)
        fits = {"mark_answered": row.status == Message.Status.SENT and row.replied_at is None}
        return [each for each in offered if fits.get(each["name"], row.status == Message.Status.UNCERTAIN)]

    @admin.action(description=_("It was sent"), permissions=["settle"])
    def settle_sent(self, request, queryset):
        question = _("For uncertain messages of which the host's log, a reply or a bounce shows that they went out.")
        return self.ask(request, queryset, outcomes.settle, question=question, form_class=EvidenceForm, sent=True)

    @admin.action(description=_("It was not sent"), permissions=["settle"])
    def settle_failed(self, request, queryset):
        question = _("These people are not written to again in this campaign; be sure that the mail is not there.")
        return self.ask(request, queryset, outcomes.settle, question=question, form_class=EvidenceForm, sent=False)

    @admin.action(description=_("Mark as answered"), permissions=["converse"])
    def mark_answered(self, request, queryset):
        question = _("These people are in conversation then: no campaign writes to them until somebody releases them.")
        return self.ask(request, queryset, replies.human, question=question, form_class=AnsweredForm)

    def has_converse_permission(self, request):
        return request.actor.can("campaigns.converse")

    def has_settle_permission(self, request):
        return request.actor.can("campaigns.settle")

    @admin.display(description=_("recipient"))
    def recipient(self, row):
        return row_link("campaigns_contact", row.contact_id, row.contact.email)

    @admin.display(description=_("mailbox"))
    def from_mailbox(self, row):
        return row_link("mailboxes_mailbox", row.mailbox_id, row.mailbox.address)

    @admin.display(description=_("content hash"))
    def content(self, row):
        return bytes(row.content_hash).hex() if row.content_hash else ""


@admin.register(Attempt)
class AttemptAdmin(IndexedSearch, TenantAdmin):
    area = "campaigns"
    search_help_text = _("The number of a message.")
    list_display = ("at", "message", "mailbox", "result_label", "phase", "code", "enhanced", "text", "duration_ms")
    list_filter = ("result", "phase", "tenant")
    linked_by = ("message_ref__exact", "mailbox_ref__exact")
    sortable_by = ()
    fields = ("at", "message", "mailbox", "tenant", "result_label", "phase", "code", "enhanced", "text", "duration_ms")

    def get_search_results(self, request, queryset, search_term):
        if not search_term.strip():
            return queryset, False
        return queryset.filter(message_ref=pk_of(search_term) or 0), False

    @admin.display(description=_("message"))
    def message(self, row):
        return row_link("campaigns_message", row.message_ref, f"#{row.message_ref}")

    @admin.display(description=_("mailbox"))
    def mailbox(self, row):
        return row_link("mailboxes_mailbox", row.mailbox_ref, f"#{row.mailbox_ref}")

    @admin.display(description=_("became"))
    def result_label(self, row):
        return state(row.result, dict(Message.Status.choices).get(row.result, row.result))
