"""Who was asked to join; the link of an invitation is shown once, to who made it."""

from __future__ import annotations

from django import forms
from django.conf import settings
from django.contrib import admin
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminEmailInputWidget

from tenants.admin.columns import state
from tenants.admin.members import PeopleAdmin, PlaceForm
from tenants.models import Invitation
from tenants.services import invitations, members


class InvitationForm(PlaceForm):
    """Whom to ask, and for what."""

    email = forms.EmailField(widget=UnfoldAdminEmailInputWidget, label=_("E-mail address"))
    field_order = ("email",)


@admin.register(Invitation)
class InvitationAdmin(PeopleAdmin):
    """Invitations of the own tenants; a platform admin sees those of staff as well."""

    list_display = ("email", "condition", "role", "where", "invited_by", "expires_at", "created_at")
    list_filter = ("role",)
    list_select_related = ("tenant", "invited_by")
    search_fields = ("email",)
    fields = (
        "email", "condition", "role", "where", "membership_expires_at", "invited_by", "expires_at", "accepted_at",
        "accepted_by", "revoked_at", "created_at",
    )  # fmt: skip
    linked_by = ("tenant__id__exact",)
    actions = ("revoke",)
    dangerous = frozenset({"add"})
    add_form = InvitationForm

    @admin.display(description=_("state"))
    def condition(self, row):
        if row.accepted_at:
            return state("done", _("accepted"))
        if row.revoked_at:
            return state("stopped", _("taken back"))
        return state("planned", _("open")) if row.expires_at > now() else state("deferred", _("run out"))

    def add_with(self, request, values):
        tenant_id = members.place_of(values["tenant"].strip(), actor=request.actor)
        made, token = invitations.invite(
            values["email"], values["role"], tenant_id, actor=request.actor, expires_at=values["expires_at"]
        )
        context = {
            **self.admin_site.each_context(request),
            "title": _("Invitation of %s") % made.email,
            "invitation": made,
            "link": f"{settings.PUBLIC_URL}{reverse('admin:invitation', args=[token])}",
            "opts": self.opts,
        }
        return TemplateResponse(request, "console/invited.html", context, headers={"Cache-Control": "no-store"})

    @admin.action(description=_("Take the invitation back"), permissions=["revoke"])
    def revoke(self, request, queryset):
        return self.each(request, queryset, invitations.revoke)

    def has_revoke_permission(self, request):
        return self.has_view_permission(request)
