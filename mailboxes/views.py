"""What web servers ask."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from mailboxes.services import tracking
from mailboxes.services.tracking import Standing
from outreach.common import origins

UNKNOWN_A_MINUTE = 6000  # all handshakes of the world come from one web server


@require_safe
def may_have_certificate(request: HttpRequest) -> HttpResponse:
    """Whether a web server may get a certificate for ?domain=: 200, or 404 with one body for every reason.

    Nobody has signed in: it is asked in the middle of a handshake. It says no more than a handshake would.
    """
    name = request.GET.get("domain", "")
    found = tracking.standing(name, place=origins.place_of(request), most_a_minute=UNKNOWN_A_MINUTE)
    allowed = found is Standing.OPEN
    return HttpResponse(
        "yes\n" if allowed else "no\n",
        status=200 if allowed else 404,
        content_type="text/plain",
        headers={"Cache-Control": "no-store"},
    )
