"""How far a person got in signing in, and what a session carries of it."""

from __future__ import annotations

import ipaddress
import time
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME, update_session_auth_hash
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.dispatch import receiver
from django.http import HttpResponseRedirect
from django.urls import reverse

from outreach.common import origins
from tenants.models import User
from tenants.services import actors, sessions

VERIFIED_AT = "verified_at"  # in a session: when its person last entered a code, in seconds since 1970


def is_verified(user: Any) -> bool:
    """Whether this request's person has shown the second factor in this session."""
    verified = getattr(user, "is_verified", None)
    return verified is not None and bool(verified())


def is_in(user: Any) -> bool:
    """Whether the person may go on to the console: second factor shown, and a password that nobody else knows."""
    return is_verified(user) and user.one_time_until is None


def recently_verified(request: Any) -> bool:
    """Whether the person entered a code in this session a short while ago, as dangerous acts want it."""
    entered_at = request.session.get(VERIFIED_AT, 0)
    return is_in(request.user) and 0 <= time.time() - entered_at < settings.REAUTH_SECONDS


def verify_first(back: str) -> HttpResponseRedirect:
    """Ask for a code, then go on to that page."""
    return HttpResponseRedirect(f"{reverse('admin:verify')}?{urlencode({REDIRECT_FIELD_NAME: back})}")


def keep_session(request: Any, *, verified: bool = False) -> None:
    """The session goes on under a new key, after its person changed by what they sign in, or showed a code."""
    before = request.session.session_key
    if verified:
        request.session[VERIFIED_AT] = int(time.time())
    update_session_auth_hash(request, User.objects.get(pk=request.user.pk))
    sessions.move(before, request.session.session_key)


@receiver(user_logged_in, dispatch_uid="tenants.session_begun")
def _begun(sender: Any, request: Any, user: User, **kwargs: Any) -> None:
    """Every sign-in passes here; no session counts without its row."""
    request.session.cycle_key()  # Django leaves the old key to who is in already, and none to who comes after another
    if getattr(user, "otp_device", None) is not None:
        request.session[VERIFIED_AT] = int(time.time())
    sessions.begin(
        user,
        request.session.session_key,
        actor=actors.oneself(user),
        address=_address(request),
        browser=request.META.get("HTTP_USER_AGENT", "").replace("\0", ""),
    )


@receiver(user_logged_out, dispatch_uid="tenants.session_over")
def _over(sender: Any, request: Any, **kwargs: Any) -> None:
    """Before the session's key is thrown away."""
    if request.session.session_key:
        sessions.close(request.session.session_key)


def _address(request: Any) -> str | None:
    try:
        return str(ipaddress.ip_address(origins.address_of(request.META).partition("%")[0]))
    except ValueError:  # a unix socket without a proxy's word
        return None
