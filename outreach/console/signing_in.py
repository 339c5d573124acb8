"""The sign-in: address, password and six-digit code in one form, and no way in without the code."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.models import AbstractBaseUser
from django.utils.translation import gettext_lazy as _
from django_otp import devices_for_user
from django_otp.admin import OTPAdminAuthenticationForm
from django_otp.models import Device
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget


class SignInForm(OTPAdminAuthenticationForm):
    """Chooses the device by the code's shape: six digits are for the authenticator, all else is a one-use code.

    Only a person with several authenticators is asked which one. Trying a code on every device would
    count as a failure for those that it does not fit.
    """

    username = forms.EmailField(
        label=_("E-mail address"),
        widget=UnfoldAdminTextInputWidget(attrs={"autofocus": True, "autocomplete": "username", "type": "email"}),
    )
    password = forms.CharField(
        label=_("Password"),
        strip=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "current-password"}),
    )
    otp_device = forms.CharField(required=False, widget=UnfoldAdminSelectWidget, label=_("Authenticator"))
    otp_token = forms.CharField(
        required=False,
        max_length=16,
        label=_("Six-digit code"),
        help_text=_("From your authenticator app, or a one-use code."),
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "one-time-code", "inputmode": "text"}),
    )

    error_messages = {
        **OTPAdminAuthenticationForm.error_messages,
        "invalid_login": _("The address, the password or the code is wrong. All three are needed."),
    }
    otp_error_messages = {
        **OTPAdminAuthenticationForm.otp_error_messages,
        "token_required": _("The code of your second factor is needed too."),
        "invalid_token": _("The address, the password or the code is wrong. All three are needed."),
        "device_required": _("Which authenticator is the code from?"),
    }

    def clean_otp_token(self) -> str:
        return "".join(self.cleaned_data["otp_token"].split())

    @property
    def asks_device(self) -> bool:
        """Whether the person has to choose among several authenticators."""
        return bool(self.fields["otp_device"].widget.choices)

    def _chosen_device(self, user: AbstractBaseUser) -> Device | None:
        chosen = super()._chosen_device(user)
        if chosen is not None:
            return chosen
        token = self.cleaned_data.get("otp_token") or ""
        for_app = token.isdecimal() and len(token) == 6
        fitting = [d for d in devices_for_user(user, for_verify=True) if isinstance(d, TOTPDevice) == for_app]
        return fitting[0] if len(fitting) == 1 else None

    def _update_form(self, user: Any) -> None:
        """Offer a choice only where there is one; the password is not written back into the page."""
        apps = [(d.persistent_id, d.name) for d in devices_for_user(user) if isinstance(d, TOTPDevice)]
        if len(apps) > 1:
            self.fields["otp_device"].widget.choices = apps
