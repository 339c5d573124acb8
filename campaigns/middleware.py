"""Names of clients' domains under which recipients open the links of their mail, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http.request import split_domain_port

from campaigns import urls, views
from mailboxes.services import tracking
from mailboxes.services.tracking import Standing
from outreach.common import origins

PATHS = tuple(f"/{prefix}" for prefix in (urls.UNSUBSCRIBE, urls.CLICK))
UNKNOWN_A_MINUTE = 300  # made-up names from one address


class TrackingHosts:
    """Lets requests for a tracking host through although ALLOWED_HOSTS does not name it, to recipients' pages only.

    Stands before whatever answers a path by itself, as static files. Console, API and files are not there on such a
    host, not even where a pattern of ALLOWED_HOSTS fits it; a host that ALLOWED_HOSTS names stays what it was. Nobody
    is signed in there: cookies are neither read nor set. Any other host is refused as Django does.
    """

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        raw = str(request.META.get("HTTP_HOST", ""))
        host, _port = split_domain_port(raw)
        if host in settings.ALLOWED_HOSTS or not self._is_tracking(request, host):
            request.get_host()  # raises DisallowedHost, before anything is served
            return self.get_response(request)
        if not request.path_info.startswith(PATHS):
            return views.nothing_here(request)
        request.get_host = lambda: raw  # a redirect to https stays on this host
        request.urlconf = urls
        for name in ("HTTP_COOKIE", "HTTP_AUTHORIZATION"):
            request.META.pop(name, None)
        request.__dict__.pop("COOKIES", None)
        response = self.get_response(request)
        response.cookies.clear()
        return response

    def _is_tracking(self, request: Any, host: str) -> bool:
        try:
            request.get_host()
        except DisallowedHost:
            pass
        else:
            if not any(pattern == "*" or pattern.startswith(".") for pattern in settings.ALLOWED_HOSTS):
                return False  # in development, where an empty ALLOWED_HOSTS means this machine
        found = tracking.standing(host, place=origins.place_of(request), most_a_minute=UNKNOWN_A_MINUTE)
        return found is not Standing.NOTHING
