"""Quarantines and retirements: what they are about, how far they are, and the way back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminSingleDateWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from mailboxes import reserves as rules
from mailboxes.models import Mailbox, QuarantineCase, Retirement
from mailboxes.services import mailboxes, quarantine, ramp, reserves, retiring
from tenants.admin.acting import ReasonForm
from tenants.admin.base import TenantAdmin
from tenants.admin.columns import labelled, row_link

SHOWN_PLANS = 50  # mailboxes chosen at once for which the question says who would step in

DEEDS = {
    rules.Handover.WAIT: gettext_lazy("wait for it"),
    rules.Handover.NEW_THREAD: gettext_lazy("get a new thread from another mailbox"),
    rules.Handover.STOP: gettext_lazy("end"),
}


class QuarantineForm(ReasonForm):
    """Why, and whether a reserve steps in."""

    promote = forms.BooleanField(
        required=False, initial=True, widget=UnfoldBooleanSwitchWidget, label=gettext_lazy("A reserve takes its place"),
        help_text=gettext_lazy("Within the swap brake. Beyond it the pool's campaigns halt and its reserves stay."),
    )  # fmt: skip


class AllTheSameForm(forms.Form):
    """A reason, wanted only where something is still lacking."""

    reason = forms.CharField(
        max_length=200, required=False, widget=UnfoldAdminTextInputWidget,
        label=gettext_lazy("Reason, where something is lacking"),
    )  # fmt: skip


class RetireForm(ReasonForm):
    """The checklist of an end."""

    kept_as = forms.ChoiceField(
        choices=Retirement.Kept.choices, widget=UnfoldAdminSelectWidget, label=gettext_lazy("Its address")
    )
    keep_until = forms.DateField(
        widget=UnfoldAdminSingleDateWidget, label=gettext_lazy("stays until"),
        help_text=gettext_lazy("At least 60 days after the last mail: people answer late."),
    )  # fmt: skip
    replies_to = forms.CharField(
        max_length=254, widget=UnfoldAdminTextInputWidget, label=gettext_lazy("Late answers go to"),
        help_text=gettext_lazy("Somebody who signs in here, or any address."),
    )  # fmt: skip
    threads = forms.ChoiceField(
        choices=Retirement.Threads.choices, widget=UnfoldAdminSelectWidget,
        label=gettext_lazy("Threads whose campaign would wait"),
    )  # fmt: skip
    promote = forms.BooleanField(
        required=False, widget=UnfoldBooleanSwitchWidget, label=gettext_lazy("A reserve takes its place")
    )


class AssignForm(forms.Form):
    """Who reads late answers."""

    replies_to = forms.CharField(
        max_length=254, widget=UnfoldAdminTextInputWidget, label=gettext_lazy("Late answers go to")
    )


def preview_of(boxes: list[Mailbox], *, for_good: bool = False) -> dict[str, Any]:
    """What the question shows: whom the mailboxes were to write to, by campaign, and what becomes of them.

    For a quarantine also who steps in, and where the brake is pulled on the way.
    """
    leaving = reserves.leaving_of(boxes)
    looks = [] if for_good else reserves.foresee(boxes)
    with_successor = {look.mailbox.pk for look in looks if look.successor is not None}
    halting = {look.mailbox.pool_id: look for look in looks if look.halts}
    first = {look.mailbox.pool_id: look for look in reversed(looks)}
    people: dict[tuple[int, str], dict[str, Any]] = {}
    for one in leaving.campaigns:
        deed = rules.handled(one.policy, for_good or one.mailbox_id in with_successor)
        chosen_below = for_good and one.policy == rules.Handover.WAIT
        row = people.setdefault(
            (one.campaign_id, deed),
            {
                "campaign": row_link("campaigns_campaign", one.campaign_id, one.campaign),
                "deed": _("as chosen below") if chosen_below else DEEDS[deed],
                "bound": 0, "retries": 0, "free": 0,
            },
        )  # fmt: skip
        row["bound"] += one.bound
        row["retries"] += one.retries
        row["free"] += one.free
    return {
        "affected": list(people.values()),
        "leaving": leaving,
        "looks": looks[:SHOWN_PLANS],
        "pools": [
            {"pool": look.mailbox.pool, "brake": look.brake, "halts": pk in halting} for pk, look in first.items()
        ],
    }


@admin.register(QuarantineCase)
class QuarantineCaseAdmin(TenantAdmin):
    area = "mailboxes"
    list_display = (
        "mailbox",
        "number",
        "state",
        "reason",
        "opened_at",
        "cool_until",
        "swap_label",
        "promoted",
        "tenant",
    )
    list_filter = ("outcome", "swap", "by_rule", "tenant")
    linked_by = ("mailbox__id__exact", "pool__id__exact")
    list_select_related = ("mailbox", "promoted", "tenant")
    search_fields = ("mailbox__address_key",)
    fieldsets = (
        (None, {"fields": ("mailbox_link", "number", "pool", "tenant", "reason", "by_rule", "facts")}),
        (_("Way back"), {"fields": ("state", "opened_at", "cool_until", "probing_since", "progress")}),
        (_("In its place"), {"fields": ("state_before", "cap", "swap_label", "promoted_link")}),
        (_("End"), {"fields": ("closed_at", "outcome", "closed_because")}),
    )

    swap_label = labelled("swap", gettext_lazy("reserve"))

    @admin.display(description=gettext_lazy("state"))
    def state(self, row):
        return row.get_outcome_display() or (_("on probation") if row.probing_since else _("in quarantine"))

    @admin.display(description=gettext_lazy("mailbox"))
    def mailbox_link(self, row):
        return row_link("mailboxes_mailbox", row.mailbox_id, row.mailbox)

    @admin.display(description=gettext_lazy("mailbox that came"))
    def promoted_link(self, row):
        return row_link("mailboxes_mailbox", row.promoted_id, row.promoted)

    @admin.display(description=gettext_lazy("evidence"))
    def facts(self, row):
        return ", ".join(f"{key}: {value}" for key, value in row.evidence.items()) or "-"

    @admin.display(description=gettext_lazy("still lacking"))
    def progress(self, row):
        if row.closed_at is not None:
            return "-"
        return " ".join(quarantine.probation(row.mailbox, row)["lacking"]) or _("nothing: it may be released")


@admin.register(Retirement)
class RetirementAdmin(TenantAdmin):
    area = "mailboxes"
    list_display = ("mailbox", "retired_at", "reason", "kept_as_label", "keep_until", "assignee", "is_open", "tenant")
    list_filter = ("kept_as", "threads", "tenant")
    linked_by = ("mailbox__id__exact", "pool__id__exact")
    list_select_related = ("mailbox__tenant", "replies_to_user", "tenant")
    search_fields = ("mailbox__address_key",)
    fieldsets = (
        (None, {"fields": ("mailbox_link", "pool", "tenant", "reason", "retired_at")}),
        (_("Still open"), {"fields": ("open_points",)}),
        (_("Address"), {"fields": ("kept_as_label", "keep_until", "last_sent_on", "assignee", "given_up_at")}),
        (_("Threads"), {"fields": ("threads", "handed_over", "successor_link", "promoted")}),
    )
    actions = ("assign", "give_up")

    kept_as_label = labelled("kept_as", gettext_lazy("address"))

    @admin.display(description=gettext_lazy("mailbox"))
    def mailbox_link(self, row):
        return row_link("mailboxes_mailbox", row.mailbox_id, row.mailbox)

    @admin.display(description=gettext_lazy("mailbox that goes on"))
    def successor_link(self, row):
        return row_link("mailboxes_mailbox", row.successor_id, row.successor)

    @admin.display(description=gettext_lazy("late answers go to"))
    def assignee(self, row):
        return retiring.assignee_of(row)

    @admin.display(description=gettext_lazy("open"), boolean=True)
    def is_open(self, row):
        return row.given_up_at is None

    @admin.display(description=gettext_lazy("what is open, and until when"))
    def open_points(self, row):
        points = [
            f"{point['text']} ({point['until']})" if point["until"] else point["text"]
            for point in retiring.open_points(row)
        ]
        return " ".join(points) or _("nothing")

    def detail_actions(self, request: Any, row: Any) -> list[dict[str, str]]:
        return [] if row.given_up_at is not None else super().detail_actions(request, row)

    @admin.action(description=gettext_lazy("Send late answers to somebody else"), permissions=["release"])
    def assign(self, request, queryset):
        question = _("Whoever answers one of these mailboxes from now on is read there.")
        return self.ask(request, queryset, retiring.assign, question=question, form_class=AssignForm)

    @admin.action(description=gettext_lazy("Give the address up"), permissions=["release"])
    def give_up(self, request, queryset):
        question = _("Nobody keeps these addresses any more; what is sent there comes back.")
        return self.ask(request, queryset, retiring.give_up_address, question=question)

    def has_release_permission(self, request):
        return request.actor.can("mailboxes.release")


class QuarantinePage(TenantAdmin):
    """Mix-in for the mailbox's page: its quarantine or retirement, and the acts of both."""

    def change_view(self, request: Any, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        extra = dict(extra_context or {})
        box = self.get_object(request, object_id)
        if request.method == "GET" and box is not None:
            case = quarantine.open_case(box)
            if case is not None:
                extra |= {"case": case, "probation": quarantine.probation(box, case)}
            retirement = Retirement.objects.filter(mailbox=box).select_related("mailbox", "replies_to_user").first()
            if retirement is not None:
                extra |= {"retirement": retirement, "open_points": retiring.open_points(retirement)}
        return super().change_view(request, object_id, form_url, extra)

    @admin.action(description=gettext_lazy("Quarantine"), permissions=["quarantine"])
    def quarantine(self, request, queryset):
        question = _("These mailboxes send nothing more; the mail that waits in them goes back to the planner.")
        return self.ask(
            request, queryset, mailboxes.quarantine, question=question, form_class=QuarantineForm,
            template="console/leaving.html", look=preview_of,
        )  # fmt: skip

    @admin.action(description=gettext_lazy("Begin to probe"), permissions=["quarantine"])
    def probe(self, request, queryset):
        question = _("These mailboxes send at most 5 campaign mails a day, to see whether they go well.")
        return self.ask(request, queryset, mailboxes.probe, question=question, form_class=AllTheSameForm)

    @admin.action(description=gettext_lazy("Release from quarantine"), permissions=["release"])
    def release(self, request, queryset):
        question = _("These mailboxes send again from the planner's next run on, on a ramp with half of their cap.")
        return self.ask(request, queryset, mailboxes.release, question=question, form_class=AllTheSameForm)

    @admin.action(description=gettext_lazy("Hand over who waits"), permissions=["release"])
    def hand_over(self, request, queryset):
        question = _("Who still waits for one of these mailboxes goes the way that the campaigns' policy says now.")
        return self.ask(request, queryset, quarantine.hand_over, question=question)

    @admin.action(description=gettext_lazy("Retire for good"), permissions=["release"])
    def retire(self, request, queryset):
        question = ngettext(
            "This mailbox never sends again. There is no way back.",
            "These mailboxes never send again. There is no way back.",
            queryset.count(),
        )
        rows = list(queryset.select_related("tenant")[:SHOWN_PLANS])
        days = timedelta(days=retiring.DAYS_KEPT_BY_DEFAULT)
        until = max(((reserves.last_sent_on(row) or ramp.day_of(row.tenant)) + days for row in rows), default=None)
        return self.ask(
            request, queryset, mailboxes.retire, question=question, form_class=RetireForm,
            template="console/leaving.html", look=lambda boxes: preview_of(boxes, for_good=True),
            initial={"keep_until": until},
        )  # fmt: skip

    def has_quarantine_permission(self, request):
        return request.actor.can("mailboxes.quarantine")

    def has_release_permission(self, request):
        return request.actor.can("mailboxes.release")
