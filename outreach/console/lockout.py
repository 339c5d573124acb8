"""Who guessed wrong waits: a minute at first, twice as long after each further guess, an hour at most.

Counted are wrong passwords and wrong codes, by account and place together, and by place alone, so that nobody tries
one password on many accounts. Never by account alone: strangers elsewhere can't keep a person out.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from axes.helpers import get_client_username
from axes.models import AccessAttempt
from django.conf import settings
from django.db.models import Max, QuerySet, Sum
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.timezone import now

from outreach.common import origins
from tenants.services import sessions
from tenants.services.actors import Actor

FIRST, LONGEST = timedelta(minutes=1), timedelta(hours=1)
NOBODY = Actor("user", "anonymous")
OF_A_PLACE = 50  # wrong tries from one place, in all accounts and within an hour


def wait(username: str | None, place: str | None) -> timedelta:
    """How much longer a sign-in of this account from this place is refused; zero when it is not."""
    tries = AccessAttempt.objects.filter(ip_address=place)
    of_pair = tries.filter(username=username, attempt_time__gt=now() - timedelta(hours=settings.AXES_COOLOFF_TIME))
    of_place = tries.filter(attempt_time__gt=now() - LONGEST)
    return max(_left(of_pair, settings.AXES_FAILURE_LIMIT), _left(of_place, OF_A_PLACE))


def _left(tries: QuerySet, limit: int) -> timedelta:
    found = tries.aggregate(n=Sum("failures_since_start"), last=Max("attempt_time"))
    over = (found["n"] or 0) - limit
    if over < 0:
        return timedelta()
    rest = LONGEST if over > 6 else min(FIRST * 2**over, LONGEST)
    return max(found["last"] + rest - now(), timedelta())


class Lockout(AxesDatabaseHandler):
    """Axes keeps the tries; when they lock, and for how long, is said here."""

    def get_failures(self, request: Any, credentials: dict[str, Any] | None = None) -> int:
        """As many as lock, or none."""
        username = get_client_username(request, credentials)
        return settings.AXES_FAILURE_LIMIT if wait(username, request.axes_ip_address) else 0

    def user_login_failed(self, sender: Any, credentials: dict[str, Any], request: Any = None, **kwargs: Any) -> None:
        """Count the try, and say in the audit that it was one, and whether it locks."""
        super().user_login_failed(sender, credentials, request, **kwargs)
        if request is not None:
            username, place = get_client_username(request, credentials), request.axes_ip_address
            locked = math.ceil(wait(username, place).total_seconds())
            sessions.refused(username or "", actor=NOBODY, locked_seconds=locked)


def refusal(request: Any, response: Any = None, credentials: dict[str, Any] | None = None) -> HttpResponse:
    """What a locked sign-in gets, the same for accounts that don't exist."""
    left = wait(get_client_username(request, credentials), origins.place_of(request))
    return later(request, math.ceil(left.total_seconds()))


def later(request: Any, seconds: int) -> HttpResponse:
    """429, and when to try again."""
    minutes = math.ceil(seconds / 60)
    answer = render(request, "console/locked.html", {"minutes": minutes}, status=429)
    answer.headers["Retry-After"] = str(max(seconds, 1))
    answer.headers["Cache-Control"] = "no-store"
    return answer
