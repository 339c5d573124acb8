"""People who sign in to the console."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Exists, OuterRef
from django.template.response import TemplateResponse
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy as _
from django_otp.plugins.otp_totp.models import TOTPDevice
from qrcode import QRCode
from qrcode.image.svg import SvgPathImage
from unfold.widgets import UnfoldAdminEmailInputWidget, UnfoldBooleanSwitchWidget

from tenants.admin.base import TenantAdmin
from tenants.admin.columns import state
from tenants.models import User
from tenants.services import users
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


def qr_code(text: str) -> str:
    """The text as an SVG picture, to scan from the screen."""
    code = QRCode(image_factory=SvgPathImage, border=2, box_size=12)
    code.add_data(text)
    return mark_safe(code.make_image().to_string(encoding="unicode"))  # noqa: S308  # made here, of paths only


@admin.register(User)
class UserAdmin(TenantAdmin):
    view_permission = "tenants.administer"
    list_display = ("email", "role", "may_sign_in", "second_factor", "last_login", "date_joined")
    list_filter = ("is_active", "is_superuser")
    search_fields = ("email",)
    ordering = ("email",)
    fieldsets = ((None, {"fields": ("email", "role", "may_sign_in", "second_factor", "last_login", "date_joined")}),)
    actions = ("shut_out", "let_in", "renew")
    add_form, add_permission = UserForm, "tenants.administer"

    def visible_to(self, request, queryset):
        """Everybody who may see users at all sees all of them."""
        enrolled = TOTPDevice.objects.filter(user=OuterRef("pk"), confirmed=True)
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
            "qr_code": qr_code(sign_in.config_url),
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

    @admin.action(description=_("New second factor"), permissions=["administer"])
    def renew(self, request, queryset):
        question = _("The old authenticator and one-use codes stop working; the new secret is shown once.")
        made: list[SignIn] = []

        def renew_one(user: User, *, actor: Any) -> None:
            made.append(users.renew_second_factor(user, actor=actor))

        answer = self.ask(request, queryset[:1], renew_one, question=question, form_class=NoForm)
        return self.show_once(request, made[0]) if made else answer

    def has_administer_permission(self, request):
        return request.actor.can("tenants.administer")
