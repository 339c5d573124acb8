"""Test mail: the page that sends one, what became of them, and the seed addresses."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from campaigns.models import Campaign, SeedAddress, TestSend
from campaigns.services import seeds, testing
from tenants.admin.base import TenantAdmin
from tenants.admin.columns import labelled, link_to
from tenants.models import Tenant
from tenants.services import actors


class TestForm(forms.Form):
    """To whom, which step, and whose mail it would be."""

    to = forms.ChoiceField(
        widget=UnfoldAdminSelectWidget, label=_("To"),
        help_text=_("People of this console who see the tenant, and its verified seed addresses."),
    )  # fmt: skip
    step = forms.TypedChoiceField(coerce=int, widget=UnfoldAdminSelectWidget, label=_("Step"))
    contact = forms.CharField(
        max_length=254, required=False, widget=UnfoldAdminTextInputWidget, label=_("As it is for"),
        help_text=_("The address of somebody on the list, who gets nothing. Empty: the first person of the list."),
    )  # fmt: skip
    mailbox = forms.CharField(
        max_length=254, required=False, widget=UnfoldAdminTextInputWidget, label=_("By the mailbox"),
        help_text=_("An address of the pool. Empty: one that may send now."),
    )  # fmt: skip

    def __init__(self, *args: Any, campaign: Campaign, actor: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        steps = campaign.steps.order_by("position", "-version").distinct("position")
        self.fields["to"].choices = [(each, each) for each in testing.testers(campaign.tenant, actor=actor)]  # type: ignore[attr-defined]
        self.fields["step"].choices = [(row.position, f"{row.position}: {row.subject}") for row in steps]  # type: ignore[attr-defined]


class TestPages:
    """Mix-in for the campaigns' admin."""

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.test_page)  # type: ignore[attr-defined]
        return [path("<int:pk>/test/", view, name="campaigns_campaign_test"), *super().get_urls()]  # type: ignore[misc]

    def test_page(self, request: Any, pk: int) -> HttpResponse:
        """Ask for a test mail; what becomes of it stands on the campaign's page."""
        campaign = self._campaign(request, pk)  # type: ignore[attr-defined]
        if not request.actor.can("campaigns.test", campaign.tenant_id):
            raise PermissionDenied
        page = self.url_of(campaign)  # type: ignore[attr-defined]

        def save(values: dict[str, Any]) -> HttpResponse:
            test = testing.send(campaign, values.pop("to"), actor=request.actor, **values)
            self.message_user(request, _("A test mail to %s is on its way.") % test.hint)  # type: ignore[attr-defined]
            return HttpResponseRedirect(page)

        form = TestForm(
            request.POST or None, campaign=campaign, actor=request.actor, initial={"step": request.GET.get("step", "")}
        )
        return self.form_page(request, form, title=_now("Send a test of %s") % campaign, save=save)  # type: ignore[attr-defined]

    def test_context(self, request: Any, row: Campaign) -> dict[str, Any]:
        """What the page of one campaign shows of its tests."""
        may = request.actor.can("campaigns.test", row.tenant_id)
        listed = reverse("admin:campaigns_testsend_changelist")
        return {
            "tests": testing.latest(row),
            "tests_url": f"{listed}?{urlencode({'campaign__id__exact': row.pk})}",
            "test_url": reverse("admin:campaigns_campaign_test", args=[row.pk]) if may else "",
        }


@admin.register(TestSend)
class TestSendAdmin(TenantAdmin):
    area = "campaigns"
    list_display = (
        "hint", "kind", "state_label", "campaign", "step", "mailbox", "answer", "by_kind", "by_user", "created_at",
        "tenant",
    )  # fmt: skip
    list_filter = ("state", "kind", "tenant")
    linked_by = ("campaign__id__exact", "mailbox__id__exact", "seed__id__exact")
    list_select_related = ("campaign", "step", "mailbox", "by_user", "tenant")
    ordering = ("-pk",)
    sortable_by = ()
    fields = (
        "hint", "kind", "state_label", "reason", "answer", "campaign", "step", "mailbox", "day_on", "message_id",
        "by_kind", "by_user", "by_key_id", "created_at", "done_at", "tenant",
    )  # fmt: skip

    state_label = labelled("state", _("state"))


class SeedForm(forms.Form):
    """An address outside the company."""

    tenant = forms.ModelChoiceField(Tenant.objects.none(), label=_("Tenant"), widget=UnfoldAdminSelectWidget)
    address = forms.CharField(
        max_length=254, widget=UnfoldAdminTextInputWidget, label=_("Address"),
        help_text=_("It gets a mail with a code. Until the code is entered, it gets no test mail."),
    )  # fmt: skip
    note = forms.CharField(
        max_length=200, required=False, widget=UnfoldAdminTextInputWidget, label=_("Note"),
        help_text=_("Whose it is, or what it shows."),
    )  # fmt: skip

    def __init__(self, *args: Any, actor: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if actor is not None:
            tenants = actors.visible_to(actor, Tenant.objects.order_by("slug"), "campaigns.test")
            self.fields["tenant"].queryset = tenants  # type: ignore[attr-defined]


class CodeForm(forms.Form):
    """What the mail says."""

    code = forms.CharField(max_length=12, widget=UnfoldAdminTextInputWidget, label=_("Code, six digits"))


@admin.register(SeedAddress)
class SeedAddressAdmin(TenantAdmin):
    area = "campaigns"
    list_display = ("address", "note", "tenant", "verified_at", "added_by", "created_at", "archived_at", "test_list")
    list_filter = (("verified_at", admin.EmptyFieldListFilter), ("archived_at", admin.EmptyFieldListFilter), "tenant")
    list_select_related = ("tenant", "added_by")
    search_fields = ("address_key", "note")
    sortable_by = ("address", "created_at")
    fields = (
        "address", "note", "tenant", "verified_at", "code_until", "code_tries", "added_by", "created_at",
        "archived_at", "test_list",
    )  # fmt: skip
    actions = ("confirm", "ask_again", "archive")
    add_form, add_permission = SeedForm, "campaigns.test"

    @admin.display(description=_("mails"))
    def test_list(self, row):
        return link_to("campaigns_testsend", _("mails"), seed__id__exact=row.pk)

    def add_view(self, request: Any, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = SeedForm(request.POST or None, actor=request.actor)
        return self.form_page(
            request, form, title=_now("New seed address"), save=lambda values: self.add_with(request, values)
        )

    def add_with(self, request, values):
        return seeds.add(values.pop("tenant"), values.pop("address"), actor=request.actor, **values)

    def detail_actions(self, request: Any, row: Any) -> list[dict[str, str]]:
        waits = row.verified_at is None and row.archived_at is None
        fits = {"confirm": waits, "ask_again": waits, "archive": row.archived_at is None}
        return [action for action in super().detail_actions(request, row) if fits.get(action["name"], True)]

    @admin.action(description=_("Enter the code"), permissions=["test"])
    def confirm(self, request, queryset):
        question = _("The address got a mail with six digits. Whoever reads it can tell them.")
        return self.ask(request, queryset, seeds.confirm, question=str(question), form_class=CodeForm)

    @admin.action(description=_("Send another code"), permissions=["test"])
    def ask_again(self, request, queryset):
        return self.each(request, queryset, seeds.ask_again)

    @admin.action(description=_("Archive"), permissions=["test"])
    def archive(self, request, queryset):
        return self.each(request, queryset, seeds.archive)

    def has_test_permission(self, request):
        return request.actor.can("campaigns.test")
