"""Sending domains: facts, acts and what retiring leaves to be done. The app that checks their DNS adds its part."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q
from django.http import Http404, HttpResponse
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminDateWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from mailboxes.admin.domain_ramps import RAMP_ACTIONS, DomainRampPage
from mailboxes.admin.routes import RouteForm
from mailboxes.models import Mailbox, SendingDomain
from mailboxes.services import domains, routes
from tenants.admin.columns import labelled, link_to, since
from tenants.models import Tenant
from tenants.services import actors


def _text(label: Any, length: int, help_text: Any = "") -> forms.CharField:
    return forms.CharField(
        max_length=length, required=False, label=label, help_text=help_text, widget=UnfoldAdminTextInputWidget
    )


def _number(label: Any, help_text: Any) -> forms.IntegerField:
    return forms.IntegerField(
        min_value=0,
        max_value=domains.MOST_A_DAY,
        required=False,
        label=label,
        help_text=help_text,
        widget=UnfoldAdminIntegerFieldWidget,
    )


def _day(label: Any) -> forms.DateField:
    return forms.DateField(required=False, label=label, widget=UnfoldAdminDateWidget)


class FactsForm(forms.Form):
    """What people may set of a domain; empty caps are no caps."""

    dkim_selectors = _text(gettext_lazy("DKIM selectors"), 1000, gettext_lazy("Of the keys that sign, blanks between."))
    tracking_host = _text(gettext_lazy("Tracking host"), 253, gettext_lazy("Host of unsubscribe and click links."))
    return_path = _text(gettext_lazy("Return path"), 253, gettext_lazy("Envelope domain; empty: the domain itself."))
    hourly_cap = _number(gettext_lazy("Messages an hour"), gettext_lazy("Of a UTC hour; empty: no limit."))
    daily_cap = _number(gettext_lazy("Messages a day"), gettext_lazy("Of the tenant's day; empty: no limit."))
    registrar = _text(gettext_lazy("Registrar"), 100)
    registered_on = _day(gettext_lazy("Registered on"))
    renews_on = _day(gettext_lazy("Renews on"))

    def clean_dkim_selectors(self) -> list[str]:
        return self.cleaned_data["dkim_selectors"].replace(",", " ").split()


class NewDomainForm(FactsForm):
    """Whose, its name, and the rest if known."""

    tenant = forms.ModelChoiceField(Tenant.objects.none(), label=gettext_lazy("Tenant"), widget=UnfoldAdminSelectWidget)
    name = forms.CharField(max_length=253, label=gettext_lazy("Domain"), widget=UnfoldAdminTextInputWidget)
    field_order = ("tenant", "name")

    def __init__(self, *args: Any, tenants: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if tenants is not None:
            self.fields["tenant"].queryset = tenants  # type: ignore[attr-defined]


class DomainPages(DomainRampPage):
    """List and page of sending domains; registered by deliverability.admin, which knows their checks."""

    area = "mailboxes"
    list_display = (
        "name", "state_label", "tenant", "state_reason", "cap", "mailbox_list", "checked", "renews_on",
    )  # fmt: skip
    list_filter = ("state", "tenant")
    list_select_related = ("tenant",)
    linked_by = ("id__exact", "id__in")
    search_fields = ("name", "tracking_host")
    fieldsets = (
        (None, {"fields": ("name", "organisational", "tenant", "mailbox_list", "sending_list", "stopped_list")}),
        (gettext_lazy("State"), {"fields": ("state_label", "state_reason", "checked_at", "check_due_at")}),
        (gettext_lazy("Volume"), {"fields": ("hourly_cap", "daily_cap", "ramp", "ramp_cap", "last_sent")}),
        (gettext_lazy("When an account is out"), {"fields": ("standby_list",)}),
        (gettext_lazy("DNS"), {"fields": ("dkim_selectors", "tracking_host", "return_path")}),
        (
            gettext_lazy("Registration"),
            {"fields": ("registrar", "registered_on", "renews_on", "created_at", "retired_at", "kept_alive")},
        ),
    )
    stops = {"domain": "pk"}
    actions = ("block", "unblock", "retire", *RAMP_ACTIONS)
    targets = {"block": "blocked", "retire": "retired"}
    add_form, add_permission = NewDomainForm, "mailboxes.import"

    state_label = labelled("state", gettext_lazy("state"))

    def get_queryset(self, request):
        sending = Q(mailboxes__state__in=Mailbox.SENDABLE, mailboxes__hold=Mailbox.Hold.NONE)
        stopped = Q(mailboxes__state=Mailbox.State.QUARANTINED) | ~Q(mailboxes__hold=Mailbox.Hold.NONE)
        return (
            super()
            .get_queryset(request)
            .annotate(
                n_mailboxes=Count("mailboxes"),
                n_sending=Count("mailboxes", filter=sending),
                n_stopped=Count("mailboxes", filter=stopped & Q(mailboxes__isnull=False)),
            )
        )

    def get_urls(self):
        view = self.admin_site.admin_view(self.facts)
        route = self.admin_site.admin_view(self.route)
        return [
            path("<int:pk>/facts/", view, name="mailboxes_sendingdomain_facts"),
            path("<int:pk>/route/", route, name="mailboxes_sendingdomain_route"),
            *super().get_urls(),
        ]

    @admin.display(description=gettext_lazy("mailboxes"), ordering="n_mailboxes")
    def mailbox_list(self, row):
        return link_to("mailboxes_mailbox", row.n_mailboxes, domain__id__exact=row.pk)

    @admin.display(description=gettext_lazy("free to send"))
    def sending_list(self, row):
        return link_to("mailboxes_mailbox", row.n_sending, domain__id__exact=row.pk, hold__exact="none")

    @admin.display(description=gettext_lazy("quarantined or held"))
    def stopped_list(self, row):
        return link_to("mailboxes_mailbox", row.n_stopped, domain__id__exact=row.pk, condition="stopped")

    @admin.display(description=gettext_lazy("stand in"))
    def standby_list(self, row):
        standbys = list(row.standbys.all())
        ready = sum(bool(each.ready) for each in standbys)
        if not standbys:
            return _("no permitted standby: an outage means waiting")
        text = _("%(ready)d of %(count)d may") % {"ready": ready, "count": len(standbys)}
        return link_to("mailboxes_standby", text, domain__id__exact=row.pk)

    @admin.display(description=gettext_lazy("a day"))
    def cap(self, row):
        return "" if row.cap_of_day is None else f"{row.cap_of_day:,}"

    @admin.display(description=gettext_lazy("checked"), ordering="checked_at")
    def checked(self, row):
        return since(row.checked_at)

    @admin.display(description=gettext_lazy("last mail"))
    def last_sent(self, row):
        return domains.last_sent([row]).get(row.pk)

    @admin.display(description=gettext_lazy("MX and unsubscribe host stay until"))
    def kept_alive(self, row):
        return domains.keep_alive_until([row]).get(row.pk)

    def add_view(self, request: Any, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        tenants = actors.visible_to(request.actor, Tenant.objects.order_by("name"), self.add_permission)
        form = NewDomainForm(request.POST or None, tenants=tenants)

        def save(values: dict[str, Any]) -> SendingDomain:
            return domains.add(values.pop("tenant"), values.pop("name"), actor=request.actor, **values)

        return self.form_page(request, form, title=_("New sending domain"), save=save)

    def facts(self, request: Any, pk: int) -> HttpResponse:
        """Change what people may set."""
        row = self.row_of(request, pk)
        if not request.actor.can("mailboxes.import", row.tenant_id):
            raise PermissionDenied
        now = {name: getattr(row, name) for name in FactsForm.base_fields} | {
            "dkim_selectors": " ".join(row.dkim_selectors)
        }
        form = FactsForm(request.POST or None, initial=now)

        def save(values: dict[str, Any]) -> SendingDomain:
            return domains.change(row, actor=request.actor, **values)

        return self.form_page(request, form, title=_("Change the domain %s") % row, save=save, done=_("Saved."))

    def route(self, request: Any, pk: int) -> HttpResponse:
        """Say which accounts stand in while those of its mailboxes are out."""
        row = self.row_of(request, pk)
        if not request.actor.can("mailboxes.set_account_state", row.tenant_id):
            raise PermissionDenied
        form = RouteForm(request.POST or None, domain=row)

        def save(values: dict[str, Any]) -> SendingDomain:
            routes.set_route(row, form.chosen(values), actor=request.actor, reason=values["reason"])
            return row

        done = _("Saved. The check of the domain says soon who may stand in.")
        return self.form_page(
            request, form, title=_("Who stands in for the accounts of %s") % row, save=save, done=done
        )

    def row_of(self, request: Any, pk: int) -> SendingDomain:
        """The row, for who may see it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self.get_queryset(request).filter(pk=pk).first()
        if row is None:
            raise Http404
        return row

    def change_view(self, request: Any, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        extra = dict(extra_context or {})
        row = self.get_object(request, object_id) if request.method == "GET" else None
        if row is not None:
            may_change = request.actor.can("mailboxes.import", row.tenant_id)
            if may_change and row.state != SendingDomain.State.RETIRED:
                extra["facts_url"] = reverse("admin:mailboxes_sendingdomain_facts", args=[row.pk])
            may_route = request.actor.can("mailboxes.set_account_state", row.tenant_id)
            if may_route and row.state != SendingDomain.State.RETIRED:
                extra["route_url"] = reverse("admin:mailboxes_sendingdomain_route", args=[row.pk])
            if row.state == SendingDomain.State.RETIRED:
                extra["retired"] = {
                    "last_sent": domains.last_sent([row]).get(row.pk),
                    "until": domains.keep_alive_until([row]).get(row.pk),
                    "left": row.mailboxes.exclude(state=Mailbox.State.RETIRED).count(),
                }
        return super().change_view(request, object_id, form_url, extra)

    def detail_actions(self, request: Any, row: Any) -> list[dict[str, str]]:
        fits = {"unblock": row.state == SendingDomain.State.BLOCKED}
        return [action for action in super().detail_actions(request, row) if fits.get(action["name"], True)]

    @admin.action(description=gettext_lazy("Block"), permissions=["block"])
    def block(self, request, queryset):
        question = _("Nothing more leaves from these domains; the mail that waits in their mailboxes goes back.")
        return self.ask(request, queryset, domains.block, question=question)

    @admin.action(description=gettext_lazy("Lift the block"), permissions=["unblock"])
    def unblock(self, request, queryset):
        question = _(
            "Write down the cause and what was done about it. The domains are new again and send once a check of their "
            "records has verified them."
        )
        return self.ask(request, queryset, domains.unblock, question=question)

    @admin.action(description=gettext_lazy("Retire for good"), permissions=["unblock"])
    def retire(self, request, queryset):
        rows = list(queryset[:11])
        until = domains.keep_alive_until(rows)
        kept = ", ".join(f"{row.name}: {until[row.pk]:%Y-%m-%d}" for row in rows[:10] if row.pk in until)
        question = _(
            "These domains never send again, and there is no way back. Retire their mailboxes as well, and keep the "
            "addresses that people answer to. MX and unsubscribe host have to stay alive: %(kept)s."
        ) % {"kept": kept or _("nothing was ever sent, so they may go")}
        return self.ask(request, queryset, domains.retire, question=question)

    def has_block_permission(self, request):
        return request.actor.can("mailboxes.quarantine")

    def has_unblock_permission(self, request):
        return request.actor.can("mailboxes.release")
