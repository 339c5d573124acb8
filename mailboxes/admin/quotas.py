"""What hosts and receivers take: limits of the platform, of no tenant."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count
from django.http import Http404, HttpResponse
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from mailboxes.models import QuotaGroup, ReceiverDomain, ReceiverLimit
from mailboxes.services import quotas
from tenants.admin.base import TenantAdmin
from tenants.admin.columns import labelled, link_to

GROUP_FIELDS = ("name", "kind", "licences", "is_trial", "daily_cap", "user_daily_cap", "per_second", "note")


def whole(label: Any) -> forms.IntegerField:
    return forms.IntegerField(min_value=0, required=False, label=label, widget=UnfoldAdminIntegerFieldWidget)


class GroupForm(forms.Form):
    """The numbers that the host gives; an empty one is what its kind says."""

    name = forms.CharField(max_length=100, label=gettext_lazy("Name"), widget=UnfoldAdminTextInputWidget)
    kind = forms.ChoiceField(
        choices=QuotaGroup.Kind.choices, label=gettext_lazy("Kind"), widget=UnfoldAdminSelectWidget
    )
    licences = whole(gettext_lazy("Licences of a Microsoft 365 tenant"))
    is_trial = forms.BooleanField(required=False, label=gettext_lazy("On trial"), widget=UnfoldBooleanWidget)
    daily_cap = whole(gettext_lazy("Messages in 24 hours, all together"))
    user_daily_cap = whole(gettext_lazy("Messages in 24 hours, each mailbox"))
    per_second = forms.FloatField(
        required=False, label=gettext_lazy("Messages per second"), widget=UnfoldAdminDecimalFieldWidget
    )
    note = forms.CharField(
        max_length=500, required=False, label=gettext_lazy("Note"), widget=UnfoldAdminTextInputWidget
    )


class LimitForm(forms.Form):
    """What one organisational domain may send to a receiver."""

    operator = forms.ChoiceField(
        choices=[(name, name) for name in quotas.OPERATORS], label=gettext_lazy("Receiver"),
        widget=UnfoldAdminSelectWidget,
    )  # fmt: skip
    hourly_cap = whole(gettext_lazy("Messages an hour; empty: no limit"))
    daily_cap = whole(gettext_lazy("Messages in 24 hours; empty: no limit"))


class OfThePlatform(TenantAdmin):
    """Rows of no tenant: for platform admins, who change them on a page with one form."""

    view_permission = add_permission = "tenants.administer"
    change_form_outer_before_template = "console/numbers_link.html"
    sortable_by = ()

    def visible_to(self, request, queryset):
        return queryset

    def get_urls(self):
        name = f"{self.opts.app_label}_{self.opts.model_name}_numbers"
        return [
            path("<int:pk>/numbers/", self.admin_site.admin_view(self.numbers_view), name=name),
            *super().get_urls(),
        ]

    def change_view(self, request: Any, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        extra = dict(extra_context or {})
        if self.add_form is not None and object_id.isdecimal() and request.actor.can(self.add_permission):
            extra["numbers_url"] = reverse(self._named("numbers"), args=[object_id])
        return super().change_view(request, object_id, form_url, extra)

    def numbers_view(self, request: Any, pk: int) -> HttpResponse:
        """Change the numbers of one row."""
        if self.add_form is None or not request.actor.can(self.add_permission):
            raise PermissionDenied
        row = self.get_queryset(request).filter(pk=pk).first()
        if row is None:
            raise Http404
        now = {name: getattr(row, name) for name in self.add_form.base_fields}
        form = self.add_form(request.POST or None, initial=now)
        save = self.saving(request, row)
        return self.form_page(request, form, title=_("Change %s") % row, save=save, done=_("Saved."))

    def saving(self, request: Any, row: Any) -> Any:
        raise NotImplementedError


@admin.register(QuotaGroup)
class QuotaGroupAdmin(OfThePlatform):
    list_display = (
        "name", "kind", "licences", "is_trial", "daily_cap", "user_daily_cap", "per_second", "account_list",
        "mailbox_list",
    )  # fmt: skip
    fields = (*GROUP_FIELDS, "holds", "account_list", "mailbox_list", "hours", "created_at")
    list_filter = ("kind",)
    add_form = GroupForm
    stops = {"organisation": "pk"}

    def get_queryset(self, request):
        return (
            super()
            .get_queryset(request)
            .annotate(n_accounts=Count("accounts", distinct=True), n_mailboxes=Count("mailboxes", distinct=True))
        )

    @admin.display(description=gettext_lazy("what holds"))
    def holds(self, row):
        quota = row.quota
        said = [
            _("%d in 24 hours") % quota.daily if quota.daily is not None else "",
            _("%d in 24 hours each mailbox") % quota.user_daily if quota.user_daily is not None else "",
            _("%s a second") % quota.per_second if quota.per_second is not None else "",
        ]
        return ", ".join(filter(None, said)) or _("no limit")

    @admin.display(description=gettext_lazy("accounts"))
    def account_list(self, row):
        return link_to("mailboxes_provideraccount", row.n_accounts, quota_group__id__exact=row.pk)

    @admin.display(description=gettext_lazy("mailboxes of its own"))
    def mailbox_list(self, row):
        return link_to("mailboxes_mailbox", row.n_mailboxes, quota_group__id__exact=row.pk)

    @admin.display(description=gettext_lazy("hours"))
    def hours(self, row):
        return link_to("mailboxes_allowance", _("counted hours"), scope__exact="quota_hour", key__exact=row.pk)

    def add_with(self, request, values):
        return quotas.add_group(values.pop("name"), values.pop("kind"), actor=request.actor, **values)

    def saving(self, request, row):
        return lambda values: quotas.change_group(row, actor=request.actor, **values)


@admin.register(ReceiverLimit)
class ReceiverLimitAdmin(OfThePlatform):
    list_display = ("operator", "hourly_cap", "daily_cap", "hours")
    fields = list_display
    add_form = LimitForm

    @admin.display(description=gettext_lazy("hours"))
    def hours(self, row):
        return link_to("mailboxes_allowance", _("counted hours"), scope__exact="receiver_hour")

    def add_with(self, request, values):
        return quotas.limit_receiver(values.pop("operator"), actor=request.actor, **values)

    def saving(self, request, row):
        def save(values):
            return quotas.limit_receiver(
                row.operator, hourly_cap=values["hourly_cap"], daily_cap=values["daily_cap"], actor=request.actor
            )

        return save


@admin.register(ReceiverDomain)
class ReceiverDomainAdmin(OfThePlatform):
    list_display = ("name", "mail_label", "operator", "trouble", "failures", "checked_at", "due_at")
    fields = (*list_display[:5], "answered_at", *list_display[5:])
    search_fields = ("name",)
    list_filter = ("mail", "operator")

    mail_label = labelled("mail", gettext_lazy("mail"))
