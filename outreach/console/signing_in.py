"""The sign-in: address, password and six-digit code in one form, and no way in without the code."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.signals import user_login_failed
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from tenants.services import factors


class SignInForm(AdminAuthenticationForm):
    """Who has a second factor needs it here; who has none yet gets no further than the page that sets one up.

    Whatever is wrong, the answer is the same, so that it tells nobody who exists or which part was right.
    """

    username = forms.EmailField(
        label=_("E-mail address"),
        widget=UnfoldAdminTextInputWidget(attrs={"autofocus": True, "autocomplete": "username", "type": "email"}),
    )
    password = forms.CharField(
        label=_("Password"),
        strip=False,
        max_length=4096,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "current-password"}),
    )
    otp_token = forms.CharField(
        required=False,
        max_length=32,
        label=_("Six-digit code"),
        help_text=_("From your authenticator app, or a one-use code. Empty at your first sign-in."),
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "one-time-code", "inputmode": "text"}),
    )

    error_messages = {
        **AdminAuthenticationForm.error_messages,
        "invalid_login": _("The address, the password or the code is wrong. All three are needed."),
    }

    def clean(self) -> dict[str, Any]:
        values = super().clean()
        user: Any = self.user_cache
        if user is None or not factors.is_set_up(user):
            return values
        user.otp_device = factors.verify(user, values.get("otp_token", ""))
        if user.otp_device is None:
            # Counts like a wrong password: the lock knows nothing else of codes.
            user_login_failed.send(__name__, credentials={"username": values["username"]}, request=self.request)
            raise self.get_invalid_login_error()
        return values

    def confirm_login_allowed(self, user: Any) -> None:
        super().confirm_login_allowed(user)
        if user.one_time_until is not None and user.one_time_until <= now():
            raise self.get_invalid_login_error()
