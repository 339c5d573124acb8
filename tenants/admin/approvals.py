"""The work list of acts that wait for a second person, and each tenant's lines."""

from __future__ import annotations

from typing import Any

from django import forms
from django.apps import apps
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.urls import path
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from outreach.common.errors import NeedsApproval
from tenants import acts
from tenants.admin.base import TenantAdmin
from tenants.admin.columns import row_link, state
from tenants.models import Approval, ApprovalPolicy
from tenants.services import approvals


class NoteForm(forms.Form):
    """Why so; whoever asked reads it."""

    note = forms.CharField(max_length=300, widget=UnfoldAdminTextInputWidget, label=_("Why so"))


class RemarkForm(forms.Form):
    """A remark, where none is needed."""

    note = forms.CharField(max_length=300, required=False, widget=UnfoldAdminTextInputWidget, label=_("Remark"))


class StateFilter(admin.SimpleListFilter):
    """What waits is shown unless something else is asked for."""

    title, parameter_name = _("state"), "state"

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, Any]]:
        return [("all", _("all")), *((key, title) for key, title in Approval.State.choices if key != "asked")]

    def choices(self, changelist: Any) -> Any:
        first = {"selected": self.value() is None, "query_string": changelist.get_query_string(remove=["state"]),
                 "display": _("waiting")}  # fmt: skip
        _all, *rest = super().choices(changelist)
        return [first, *rest]

    def queryset(self, request: Any, queryset: Any) -> Any:
        if self.value() == "all" or "subject_id" in request.GET:
            return queryset
        return queryset.filter(state=self.value() or Approval.State.ASKED)


@admin.register(Approval)
class ApprovalAdmin(TenantAdmin):
    list_display = ("what", "about", "agreed_on", "reason", "asker", "tenant", "state_label", "expires_at")
    list_filter = (StateFilter, "tenant")
    linked_by = ("tenant__id__exact", "subject_id", "act")
    list_select_related = ("tenant", "asked_by")
    sortable_by = ()
    ordering = ("pk",)
    fieldsets = (
        (None, {"fields": ("what", "about", "agreed_on", "reason", "tenant")}),
        (_("State"), {"fields": ("state_label", "expires_at", "note", "decided_by", "decided_at", "used_at")}),
        (_("Asked"), {"fields": ("asker", "asked_at")}),
    )
    actions = ("grant", "refuse", "withdraw")
    dangerous = frozenset({"grant"})
    targets = {"grant": "granted", "refuse": "refused", "withdraw": "withdrawn"}

    @admin.display(description=_("act"))
    def what(self, row):
        act = acts.get(row.act)
        return act.title if act else row.act

    @admin.display(description=_("of"))
    def about(self, row):
        """The row as it is now, for who may see it."""
        model = apps.get_model(row.subject)
        found = model._default_manager.filter(pk=row.subject_id).first()
        meta = model._meta
        text = str(found) if found else f"{meta.verbose_name} {row.subject_id}"
        return row_link(f"{meta.app_label}_{meta.model_name}", row.subject_id, text)

    @admin.display(description=_("to agree on"))
    def agreed_on(self, row):
        return approvals.in_words(row.terms) or "-"

    @admin.display(description=_("asked by"))
    def asker(self, row):
        if row.asked_by_key_id:
            return row_link("tenants_apikey", row.asked_by_key_id, _("key %s") % row.asked_by_key_id)
        return row.asked_by or _("the system")

    @admin.display(description=_("state"))
    def state_label(self, row):
        late = row.state in (Approval.State.ASKED, Approval.State.GRANTED) and row.expires_at <= now()
        shown = Approval.State.EXPIRED if late else Approval.State(row.state)
        return state(shown.value, shown.label)

    def detail_actions(self, request: Any, row: Any) -> list[dict[str, str]]:
        """Who asked is not offered to agree."""
        offered = super().detail_actions(request, row)
        own = row.asked_by_id == request.actor.user_id
        return [action for action in offered if action["name"] != "grant" or not own]

    @admin.action(description=_("Agree"), permissions=["approve"])
    def grant(self, request, queryset):
        question = _("Whoever asked may then do exactly this, once, while the agreement holds.")
        return self.ask(request, queryset, approvals.grant, question=question, form_class=RemarkForm)

    @admin.action(description=_("Refuse"), permissions=["approve"])
    def refuse(self, request, queryset):
        question = _("It is not done; it may be asked for again.")
        return self.ask(request, queryset, approvals.refuse, question=question, form_class=NoteForm)

    @admin.action(description=_("Take back"), permissions=["view"])
    def withdraw(self, request, queryset):
        return self.each(request, queryset, approvals.withdraw)

    def has_approve_permission(self, request):
        return request.actor.can("tenants.approve")


def policy_form() -> type[forms.ModelForm]:
    """All lines, and the reason for a second person where one is needed for looser ones."""

    def field_of(field: Any, **kwargs: Any) -> Any:
        is_tick = field.get_internal_type() == "BooleanField"
        covered = [str(act.title) for act in acts.registered().values() if act.line == field.name]
        if covered:
            kwargs["help_text"] = " ".join(
                filter(None, [str(field.help_text), _("Holds for: %s.") % ", ".join(covered)])
            )
        return field.formfield(widget=UnfoldBooleanSwitchWidget if is_tick else UnfoldAdminIntegerFieldWidget, **kwargs)

    class PolicyForm(forms.ModelForm):
        second_person = forms.CharField(
            max_length=300, required=False, widget=UnfoldAdminTextInputWidget, label=_("Reason for a second person"),
            help_text=_("Looser lines need one. With a reason, the wish goes to the list of what waits for two."),
        )  # fmt: skip

        class Meta:
            model = ApprovalPolicy
            fields = approvals.ALL_LINES
            formfield_callback = field_of

    return PolicyForm


class PolicyPage(TenantAdmin):
    """A page below a tenant's own: from which line on its acts need a second person."""

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.policy_view)
        return [path("<int:pk>/policy/", view, name="tenants_tenant_policy"), *super().get_urls()]

    def policy_view(self, request: Any, pk: int) -> HttpResponse:
        """Move the lines; looser ones wait for a second person."""
        tenant = self.get_queryset(request).filter(pk=pk).first()
        if tenant is None:
            raise Http404
        if not request.actor.can("tenants.approve", pk):
            raise PermissionDenied
        form = policy_form()(request.POST or None, instance=approvals.policy_of(pk))

        def save(values: dict[str, Any]) -> Any:
            reason = values.pop("second_person")
            try:
                approvals.set_policy(tenant, actor=request.actor, **values)
            except NeedsApproval as error:
                if not reason:
                    raise
                approvals.ask_for(error, actor=request.actor, reason=reason)
                self.message_user(request, _("Asked: it waits for a second person."), messages.WARNING)
                return HttpResponseRedirect(self.url_of(tenant))
            return tenant

        return self.form_page(request, form, title=_("What needs two people: %s") % tenant, save=save, done=_("Saved."))


@admin.register(ApprovalPolicy)
class ApprovalPolicyAdmin(TenantAdmin):
    """From which line on a tenant's acts need a second person; changed on the tenant's page."""

    list_display = ("tenant", "launch_above", "cap_above", "export_above")
    list_select_related = ("tenant",)
    linked_by = ("tenant__id__exact",)
    sortable_by = ()
    fields = ("tenant", *approvals.ALL_LINES)
