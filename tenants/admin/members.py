"""Who holds which role where, and who broke the glass."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminEmailInputWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from tenants.admin.base import TenantAdmin
from tenants.models import BreakGlass, Membership
from tenants.models.members import ROLE_CHOICES
from tenants.services import actors, members, users


class PlaceForm(forms.Form):
    """Which role, where, until when."""

    role = forms.ChoiceField(
        choices=[("", "---------"), *ROLE_CHOICES], widget=UnfoldAdminSelectWidget, label=_("Role")
    )
    tenant = forms.CharField(
        max_length=40,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        label=_("Tenant"),
        help_text=_("Its slug. Empty: in every tenant, for the company's own staff."),
    )
    expires_at = forms.DateTimeField(
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "2027-03-31 18:00"}),
        label=_("Until"),
        help_text=_("In UTC. Empty: until somebody ends it."),
    )


class MembershipForm(PlaceForm):
    """A role for somebody who has an account."""

    user = forms.EmailField(widget=UnfoldAdminEmailInputWidget, label=_("E-mail address of the user"))
    field_order = ("user",)


class PeopleAdmin(TenantAdmin):
    """Pages for who manages people: in the own tenants, or as platform admin.

    A superuser without a membership may give roles anywhere, and sees here only what belongs to no tenant.
    """

    view_permission = "tenants.manage_members"

    def has_view_permission(self, request: Any, obj: Any = None) -> bool:
        return request.actor.can("tenants.administer") or super().has_view_permission(request, obj)

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        return self.add_form is not None and self.has_view_permission(request)

    def visible_to(self, request, queryset):
        if request.actor.can("tenants.administer"):
            return actors.visible_to(request.actor, queryset, "tenants.administer")
        return super().visible_to(request, queryset)

    @admin.display(description=_("tenant"), ordering="tenant")
    def where(self, row):
        return row.tenant or _("every tenant")


@admin.register(Membership)
class MembershipAdmin(PeopleAdmin):
    """Roles of people."""

    list_display = ("user", "role", "where", "expires_at", "ended_at", "created_at")
    list_filter = ("role",)
    list_select_related = ("user", "tenant")
    search_fields = ("user__email",)
    fields = ("user", "role", "where", "expires_at", "ended_at", "created_at")
    linked_by = ("tenant__id__exact", "user__id__exact")
    actions = ("end",)
    dangerous = frozenset({"add"})  # ending one takes rights away, and has to be quick
    add_form = MembershipForm

    def add_with(self, request, values) -> HttpResponse:
        tenant_id = members.place_of(values["tenant"].strip(), actor=request.actor)
        members.check(request.actor, values["role"], tenant_id, values["expires_at"])  # before an address is looked up
        made = members.add(
            users.find(values["user"]), values["role"], tenant_id, actor=request.actor, expires_at=values["expires_at"]
        )
        self.message_user(request, _("Added: %s") % made.get_role_display(), messages.SUCCESS)
        return HttpResponseRedirect(reverse(self._named("changelist")))  # the row may be out of this person's sight

    @admin.action(description=_("End the membership"), permissions=["end"])
    def end(self, request, queryset):
        return self.each(request, queryset, members.end)

    def has_end_permission(self, request):
        return self.has_view_permission(request)


@admin.register(BreakGlass)
class BreakGlassAdmin(PeopleAdmin):
    """Each time a superuser got in without a membership, with the reason."""

    list_display = ("user", "tenant", "reason", "created_at", "until", "ended_at")
    list_select_related = ("user", "tenant")
    fields = list_display
    linked_by = ("tenant__id__exact",)
    actions = ("mend",)

    @admin.action(description=_("End the access now"), permissions=["mend"])
    def mend(self, request, queryset):
        return self.each(request, queryset, members.mend)

    def has_mend_permission(self, request):
        return request.actor.can("tenants.administer")
