"""A person's own sign-in: second factor, code before a dangerous act, password, sessions."""

from __future__ import annotations

import base64
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import logout
from django.contrib.auth.signals import user_login_failed
from django.http import HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST
from django_otp import login as otp_login
from qrcode import QRCode
from qrcode.image.svg import SvgPathImage
from unfold.forms import AdminOwnPasswordChangeForm
from unfold.widgets import UnfoldAdminTextInputWidget

from outreach.common import counting
from outreach.common.errors import InvalidMove
from outreach.console import steps
from tenants.models import RecoverySheet, SecondFactor, SignedIn
from tenants.services import actors, factors, sessions, users
from tenants.sign_in import is_in, is_verified, keep_session, recently_verified, verify_first

TRIES_PER_MINUTE = 10  # of one person, codes and old passwords together
BEING_SET_UP = "second_factor_being_set_up"  # in a session: the authenticator whose secret it was shown


class CodeForm(forms.Form):
    """One code."""

    code = forms.CharField(
        max_length=32,
        label=_("Six-digit code"),
        widget=UnfoldAdminTextInputWidget(attrs={"autofocus": True, "autocomplete": "one-time-code"}),
    )


class PasswordForm(AdminOwnPasswordChangeForm):
    """The old password and a new one."""

    def clean_new_password1(self) -> str:
        password = str(self.cleaned_data["new_password1"])
        if password == self.cleaned_data.get("old_password"):
            raise forms.ValidationError(_("Choose another one than before."))
        return password


def qr_code(text: str) -> str:
    """The text as a picture to scan, as an address for an image."""
    code = QRCode(image_factory=SvgPathImage, border=2, box_size=12)
    code.add_data(text)
    return "data:image/svg+xml;base64," + base64.b64encode(code.make_image().to_string()).decode()


def _page(request: Any, template: str, title: Any, status: int = 200, **context: Any) -> TemplateResponse:
    """A page that no cache keeps."""
    shared = admin.site.each_context(request)
    headers = {"Cache-Control": "no-store"}
    return TemplateResponse(request, template, {**shared, "title": title, **context}, status=status, headers=headers)


def _too_many(request: Any) -> HttpResponse | None:
    """429 for a person who tries too often."""
    if counting.count(f"code:{request.user.pk}") <= TRIES_PER_MINUTE:
        return None
    answer = _page(request, "console/slower.html", _("Too many tries"), status=429)
    answer.headers["Retry-After"] = str(counting.WINDOW_SECONDS)
    return answer


# --- Setting up -----------------------------------------------------------------------------------------------


@never_cache
def second_factor(request: Any) -> HttpResponse:
    """Shows a new secret and takes its first code: at the first sign-in, or later in the place of the old one."""
    user = request.user
    if not (user.is_active and user.is_staff):
        return steps.redirect_to("admin:login", steps.goal(request))
    if request.method == "POST" and "leave" in request.POST:
        logout(request)
        return HttpResponseRedirect(reverse("admin:login"))
    if factors.is_set_up(user):
        if not is_verified(user):
            return steps.redirect_to("admin:login", steps.goal(request))
        if not recently_verified(request):
            return verify_first(request.path)
    device = _being_set_up(request)
    form = CodeForm(request.POST or None)
    if request.method == "POST":
        if refusal := _too_many(request):
            return refusal
        if form.is_valid():
            try:
                codes = factors.confirm(
                    device, form.cleaned_data["code"], actor=actors.oneself(user), kept=request.session.session_key
                )
            except InvalidMove:
                return HttpResponseRedirect(request.get_full_path())
            if codes is not None:
                otp_login(request, device)
                keep_session(request, verified=True)
                return _codes_page(request, codes)
            form.add_error("code", _("This is not the code of now. Look at the clock of your phone, too."))
    return _page(
        request, "console/second_factor.html", _("Your second factor"),
        form=form, device=device, qr_code=qr_code(device.config_url), next=steps.goal(request),
        is_first=not is_verified(user),
    )  # fmt: skip


def _being_set_up(request: Any) -> SecondFactor:
    """This session's own new authenticator: one that another session was shown could be known to somebody else."""
    pk = request.session.get(BEING_SET_UP)
    device = SecondFactor.objects.filter(pk=pk, user=request.user, confirmed=False).first() if pk else None
    if device is None:
        device = factors.begin(request.user, actor=actors.oneself(request.user))
        request.session[BEING_SET_UP] = device.pk
    return device


def _codes_page(request: Any, codes: list[str]) -> HttpResponse:
    return _page(request, "console/recovery_codes.html", _("Your one-use codes"), codes=codes, next=steps.goal(request))


@require_POST
@steps.recently
def new_codes(request: Any) -> HttpResponse:
    """Ten new one-use codes; the old ones are void."""
    codes = factors.new_codes(request.user, actor=request.actor, kept=request.session.session_key)
    keep_session(request)
    return _codes_page(request, codes)


# --- A code before a dangerous act -----------------------------------------------------------------------------


@never_cache
def verify(request: Any) -> HttpResponse:
    """Asks for a code, then goes on to where the person was."""
    form = CodeForm(request.POST or None)
    if request.method == "POST":
        if refusal := _too_many(request):
            return refusal
        if form.is_valid():
            if factors.verify(request.user, form.cleaned_data["code"]) is not None:
                keep_session(request, verified=True)
                return HttpResponseRedirect(steps.goal(request))
            user_login_failed.send(__name__, credentials={"username": request.user.get_username()}, request=request)
            form.add_error("code", factors.WRONG_CODE)
    return _page(request, "console/verify.html", _("Show that it is you"), form=form, next=steps.goal(request))


# --- Password --------------------------------------------------------------------------------------------------


@never_cache
def password(request: Any) -> HttpResponse:
    """One's own new password. Who got the old one from somebody else can go nowhere before."""
    user = request.user
    if not (user.is_active and user.is_staff and is_verified(user)):
        return steps.redirect_to("admin:login", request.get_full_path())
    if is_in(user) and not recently_verified(request):
        return verify_first(request.path)
    form = PasswordForm(user, request.POST or None)
    if request.method == "POST":
        if refusal := _too_many(request):
            return refusal
        if form.is_valid():
            users.change_password(
                user, form.cleaned_data["new_password1"],
                actor=actors.oneself(user), kept=request.session.session_key,
            )  # fmt: skip
            keep_session(request)
            messages.success(request, gettext("Your password is changed. You are signed out everywhere else."))
            return HttpResponseRedirect(steps.goal(request))
    return _page(
        request, "console/password.html", _("Your password"),
        form=form, next=steps.goal(request), is_one_time=user.one_time_until is not None,
    )  # fmt: skip


# --- Where one is signed in ------------------------------------------------------------------------------------


@never_cache
def account(request: Any) -> HttpResponse:
    """By what a person signs in, and where."""
    own = sessions.look(request.session.session_key, request.user.pk, verified=True)
    return _page(
        request, "console/account.html", _("Your sign-in"),
        device=SecondFactor.objects.filter(user=request.user, confirmed=True).first(),
        sheet=RecoverySheet.objects.filter(user=request.user).first(),
        left=factors.codes_left(request.user),
        rows=sessions.open_of(request.user.pk), own_pk=own and own.pk,
    )  # fmt: skip


@require_POST
def end_session(request: Any, pk: int) -> HttpResponse:
    """End one of one's own sessions."""
    row = SignedIn.objects.filter(pk=pk, user=request.user).first()
    if row is not None:
        try:
            sessions.end(row, actor=request.actor)
        except InvalidMove as error:
            messages.error(request, str(error))
        else:
            messages.success(request, gettext("That session is over."))
    return HttpResponseRedirect(reverse("admin:account"))


@require_POST
def end_others(request: Any) -> HttpResponse:
    """End all of one's own sessions but this one."""
    n = sessions.end_others(request.user, request.session.session_key, actor=request.actor)
    messages.success(request, ngettext("%d session is over.", "%d sessions are over.", n) % n)
    return HttpResponseRedirect(reverse("admin:account"))
