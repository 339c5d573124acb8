"""Mailboxes: the fleet, row by row."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Q
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
)

from mailboxes import reports
from mailboxes.admin.editing import EditsMany, TagFilter
from mailboxes.admin.quarantine import QuarantinePage
from mailboxes.admin.ramps import RampPage
from mailboxes.models import Mailbox, RampPlan, Rotation
from mailboxes.services import exporting, mailboxes, ramp
from tenants.admin.base import ReadOnlyInline, TenantAdmin
from tenants.admin.columns import labelled, link_to, since
from tenants.admin.exporting import Exports
from tenants.services.actors import visible_to

VOLUME = ("min_gap_seconds", "weight", "reserve_share", "message_list")


class CapForm(forms.Form):
    """Messages per day."""

    daily_cap = forms.IntegerField(
        min_value=0, max_value=100_000, widget=UnfoldAdminIntegerFieldWidget, label=_("Messages a day")
    )


class PasswordForm(forms.Form):
    """A mail server's password; what was typed is not shown again."""

    password = forms.CharField(
        max_length=mailboxes.LONGEST_PASSWORD,
        strip=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "off"}),
        label=_("Password"),
    )


class PlanField(forms.ModelChoiceField):
    """Plans of several tenants may have one name."""

    def label_from_instance(self, obj):
        return f"{obj.name} ({obj.tenant})"


class ConditionFilter(admin.SimpleListFilter):
    """What state and hold mean together."""

    title, parameter_name = _("condition"), "condition"

    def lookups(self, request, model_admin):
        return [
            ("sending", _("sending")),
            ("stopped", _("quarantined or held")),
            ("held", _("held")),
            ("blocked", _("blocked for a time")),
            ("busy", _("in use by a worker now")),
        ]

    def queryset(self, request, queryset):
        held = ~Q(hold=Mailbox.Hold.NONE)
        condition = {
            "sending": Q(state__in=("active", "ramping", "probing"), hold=Mailbox.Hold.NONE),
            "stopped": Q(state=Mailbox.State.QUARANTINED) | held,
            "held": held,
            "blocked": Q(blocked_until__gt=now()),
            "busy": Q(held_until__gt=now()),
        }.get(self.value() or "")
        return queryset if condition is None else queryset.filter(condition)


class RotationInline(ReadOnlyInline):
    """The planner's own notes."""

    area = "mailboxes"
    model = Rotation
    fields = ("virtual_time", "next_free_at", "planned_in")


@admin.register(Rotation)
class RotationAdmin(TenantAdmin):
    area = "mailboxes"
    list_display = ("mailbox", "tenant", "virtual_time", "next_free_at", "planned_in")
    list_filter = ("tenant",)
    list_select_related = ("mailbox", "tenant")
    ordering = ("virtual_time", "pk")
    fields = list_display


@admin.register(Mailbox)
class MailboxAdmin(EditsMany, Exports, QuarantinePage, RampPage):
    area = "mailboxes"
    list_display = (
        "address", "state_label", "hold_label", "pool", "tag_list", "tenant", "today", "weight", "health",
        "last_sent", "message_list",
    )  # fmt: skip
    list_filter = ("state", "hold", ConditionFilter, TagFilter, "tenant")
    linked_by = ("pool__id__exact", "domain__id__exact", "home__id__exact", "ramp__id__exact", "quota_group__id__exact",
                 "standby__id__exact")  # fmt: skip
    list_select_related = ("pool", "tenant")
    search_fields = ("address_key", "display_name", "tags")
    exported, exported_as, export_permission = exporting.export_mailboxes, "mailboxes", exporting.PERMISSION
    fieldsets = (
        (None, {"fields": ("address", "display_name", "tenant", "pool", "domain", "home", "username", "password")}),
        (_("Labels"), {"fields": ("tag_list", "signature")}),
        (_("State"), {"fields": ("state_label", "hold_label", "state_reason", "blocked_until", "failures", "health")}),
        (_("Volume"), {"fields": ("today", "daily_cap", "ramp_cap", "ramp", *VOLUME)}),
        (_("Times"), {"fields": ("last_dot_at", "held_until", "created_at")}),
    )
    inlines = (RotationInline,)
    actions = (
        "edit", "export", "quarantine", "probe", "release", "hand_over", "hold", "lift_hold", "set_password", "set_cap",
        "start_ramp", "leave_ramp", "retire",
    )  # fmt: skip
    change_form_outer_before_template = "console/mailbox.html"
    stops = {"domain": "domain_id", "account": "home_id", "pool": "pool_id"}
    targets = {"quarantine": "quarantined", "probe": "probing", "retire": "retired"}

    state_label = labelled("state", _("state"))
    hold_label = labelled("hold", _("hold"), hide=("none",))

    def get_changelist_instance(self, request):
        """The allowances of the page's rows come in one query."""
        changelist = super().get_changelist_instance(request)
        reserved = reports.reserved_today(changelist.result_list)
        for row in changelist.result_list:
            row.reserved_today = reserved.get(row.pk, 0)
        return changelist

    @admin.display(description=_("today"))
    def today(self, row):
        reserved = getattr(row, "reserved_today", None)
        if reserved is None:
            reserved = reports.reserved_today([row]).get(row.pk, 0)
        return f"{reserved} / {row.cap_of_day}"

    @admin.display(description=_("tags"))
    def tag_list(self, row):
        return ", ".join(row.tags)

    @admin.display(description=_("last sent"), ordering="last_dot_at")
    def last_sent(self, row):
        return since(row.last_dot_at)

    @admin.display(description=_("messages"))
    def message_list(self, row):
        return link_to("campaigns_message", _("messages"), mailbox__id__exact=row.pk)

    @admin.display(description=_("password"))
    def password(self, row):
        return _("stored sealed, never shown") if row.sealed_password else _("none")

    def detail_actions(self, request: Any, row: Any) -> list[dict[str, str]]:
        fits = {
            "release": row.state in mailboxes.RELEASABLE,
            "hand_over": row.state in (Mailbox.State.QUARANTINED, Mailbox.State.RETIRED),
            "hold": row.hold == Mailbox.Hold.NONE and row.state != Mailbox.State.RETIRED,
            "lift_hold": row.hold != Mailbox.Hold.NONE,
            "set_password": row.state != Mailbox.State.RETIRED,
            "start_ramp": row.state != Mailbox.State.RETIRED,
            "leave_ramp": row.ramp_id is not None,
        }
        return [action for action in super().detail_actions(request, row) if fits.get(action["name"], True)]

    @admin.action(description=_("Lock"), permissions=["hold"])
    def hold(self, request, queryset):
        question = _("A lock stops these mailboxes in whatever state they are.")
        return self.ask(request, queryset, mailboxes.set_hold, question=question, hold=Mailbox.Hold.LOCKED)

    @admin.action(description=_("Lift the hold"), permissions=["hold"])
    def lift_hold(self, request, queryset):
        return self.each(request, queryset, mailboxes.set_hold, hold=Mailbox.Hold.NONE)

    @admin.action(description=_("Set the password"), permissions=["set_password"])
    def set_password(self, request, queryset):
        if queryset.count() != 1:
            self.message_user(request, _("Choose one mailbox: no two have the same password."), messages.ERROR)
            return None
        question = _("The mailbox signs in with it from now on. It is stored sealed and never shown.")
        return self.ask(request, queryset, mailboxes.set_password, question=question, form_class=PasswordForm)

    @admin.action(description=_("Change the daily cap"), permissions=["set_cap"])
    def set_cap(self, request, queryset):
        question = _("The cap holds from now on, today included; a lower one takes waiting mail back.")
        return self.ask(request, queryset, mailboxes.set_cap, question=question, form_class=CapForm, now="daily_cap")

    @admin.action(description=_("Put on a ramp"), permissions=["ramp"])
    def start_ramp(self, request, queryset):
        question = _("The cap begins low and rises by mail that really went out; the own daily cap stays the limit.")
        plans = visible_to(request.actor, RampPlan.objects.filter(archived_at=None), "mailboxes.ramp")
        plans = plans.filter(tenant__in=queryset.order_by().values("tenant")).select_related("tenant")

        class PlanForm(forms.Form):
            plan = PlanField(plans, widget=UnfoldAdminSelectWidget, label=_("Plan"))

        return self.ask(request, queryset, ramp.start_ramp, question=question, form_class=PlanForm)

    @admin.action(description=_("Take off the ramp"), permissions=["ramp"])
    def leave_ramp(self, request, queryset):
        question = _("Only the own daily cap holds from now on, and nothing lowers it by itself.")
        return self.ask(request, queryset, ramp.leave_ramp, question=question)

    def has_hold_permission(self, request):
        return request.actor.can("mailboxes.hold")

    def has_ramp_permission(self, request):
        return request.actor.can("mailboxes.ramp")

    def has_set_password_permission(self, request):
        return request.actor.can("mailboxes.import")

    def has_set_cap_permission(self, request):
        return request.actor.can("mailboxes.set_cap")
