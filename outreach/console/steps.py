"""What stands between a password and the console, and before dangerous acts: who has to go where first."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from tenants.services import factors
from tenants.sign_in import is_verified, recently_verified, verify_first

View = Callable[..., HttpResponse]


def next_step(request: Any) -> str | None:
    """The page that a person has to finish before any other: setting up the second factor, choosing a password."""
    if not (request.user.is_active and request.user.is_staff):
        return None
    if not is_verified(request.user):
        return None if factors.is_set_up(request.user) else "admin:second_factor"
    return "admin:password_change" if request.user.one_time_until is not None else None


def goal(request: Any) -> str:
    """Where the person wanted to go: a page of ours, else the start page."""
    wanted = request.POST.get(REDIRECT_FIELD_NAME) or request.GET.get(REDIRECT_FIELD_NAME) or ""
    if url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure()):
        return wanted
    return reverse("admin:index")


def redirect_to(page: str, goal_: str) -> HttpResponseRedirect:
    return HttpResponseRedirect(f"{reverse(page)}?{urlencode({REDIRECT_FIELD_NAME: goal_})}")


def recently(view: View) -> View:
    """The page is for who entered a code a short while ago; others enter one first, before they see its form."""

    @wraps(view)
    def inner(request: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        return view(request, *args, **kwargs) if recently_verified(request) else verify_first(request.path)

    return inner
