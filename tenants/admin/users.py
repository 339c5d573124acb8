"""People who sign in to the console."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Exists, OuterRef
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminEmailInputWidget, UnfoldBooleanSwitchWidget

from tenants.admin.base import TenantAdmin
from tenants.admin.columns import state
from tenants.models import SecondFactor, User
from tenants.services import sessions, users
from tenants.services.users import SignIn


class UserForm(forms.Form):
    """Who, and whether with all rights; the password is made up."""

    email = forms.EmailField(widget=UnfoldAdminEmailInputWidget, label=_("E-mail address"))
    platform_admin = forms.BooleanField(
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        label=_("Superuser"),
        help_text=_("May administer people and the platform. What anybody may see comes from memberships."),
    )


class NoForm(forms.Form):
    """Only a confirmation."""


@admin.register(User)
class UserAdmin(TenantAdmin):
    view_permission = "tenants.administer"
    list_display = ("email", "role", "may_sign_in", "second_factor", "last_login", "date_joined")
    list_filter = ("is_active", "is_superuser")
    search_fields = ("email",)
    ordering = ("email",)
    fieldsets = ((None, {"fields": ("email", "role", "may_sign_in", "second_factor", "last_login", "date_joined")}),)
    actions = ("shut_out", "let_in", "sign_out", "new_password", "renew")
    dangerous = frozenset({"add", "let_in", "new_password", "renew"})
    add_form, add_permission = UserForm, "tenants.administer"

    def visible_to(self, request, queryset):
        """Everybody who may see users at all sees all of them."""
        enrolled = SecondFactor.objects.filter(user=OuterRef("pk"), confirmed=True)
        return queryset.annotate(enrolled=Exists(enrolled))

    @admin.display(description=_("platform"))
    def role(self, row):
        return _("superuser") if row.is_superuser else ""

    @admin.display(description=_("may sign in"), ordering="is_active")
    def may_sign_in(self, row):
        return state("yes", _("yes")) if row.is_active and row.is_staff else state("no", _("no"))

    @admin.display(description=_("second factor"))
    def second_factor(self, row):
        return state("yes", _("set up")) if row.enrolled else state("no", _("missing"))

    def detail_actions(self, request: Any, row: Any) -> list[dict[str, str]]:
        left_out = "let_in" if row.is_active else "shut_out"
        return [action for action in super().detail_actions(request, row) if action["name"] != left_out]

    def add_with(self, request, values):
        return self.show_once(request, users.create(actor=request.actor, **values))

    def show_once(self, request: Any, sign_in: SignIn) -> TemplateResponse:
        """The only page that ever shows these secrets, not to be kept by any cache."""
        context = {
            **self.admin_site.each_context(request),
            "title": _("Sign-in of %s") % sign_in.user,
            "sign_in": sign_in,
            "opts": self.opts,
        }
        return TemplateResponse(request, "console/sign_in.html", context, headers={"Cache-Control": "no-store"})

    @admin.action(description=_("Shut out"), permissions=["administer"])
    def shut_out(self, request, queryset):
        question = _("Sessions of these people end with their next request.")
        return self.ask(request, queryset, users.shut_out, question=question, form_class=NoForm)

    @admin.action(description=_("Let in again"), permissions=["administer"])
    def let_in(self, request, queryset):
        return self.each(request, queryset, users.let_in)

    @admin.action(description=_("Sign out everywhere"), permissions=["administer"])
    def sign_out(self, request, queryset):
        return self.each(request, queryset, sessions.sign_out)

    @admin.action(description=_("New password"), permissions=["administer"])
    def new_password(self, request, queryset):
        question = _("The old password stops working; the new one works once, and only with the second factor.")
        return self._renew(request, queryset, users.new_password, question)

    @admin.action(description=_("New second factor"), permissions=["administer"])
    def renew(self, request, queryset):
        question = _(
            "Authenticator, one-use codes and password stop working. With a new password, shown once, the person "
            "sets up another authenticator: hand it to nobody whom you don't know by voice or face."
        )
        return self._renew(request, queryset, users.renew_second_factor, question)

    def _renew(self, request: Any, queryset: Any, service: Any, question: Any) -> Any:
        """One person only, whose new password is shown once."""
        made: list[SignIn] = []

        def renew_one(user: User, *, actor: Any) -> None:
            made.append(service(user, actor=actor))

        answer = self.ask(request, queryset[:1], renew_one, question=question, form_class=NoForm)
        return self.show_once(request, made[0]) if made else answer

    def has_administer_permission(self, request):
        return request.actor.can("tenants.administer")
