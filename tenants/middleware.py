"""Who acts in a request, whose rows it may see, and whether its session may still go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth import logout
from django.contrib.auth.models import AnonymousUser
from django.db import transaction

from outreach.common import circumstances
from tenants.services import actors, audit, sessions
from tenants.services.actors import Actor
from tenants.sign_in import is_in, is_verified

BACKGROUND = frozenset(
    {"live", "sent_chart", "jsi18n", "mailboxes_upload_panel", "campaigns_contactupload_panel"}
)  # what a page asks for by itself: nobody need be there

REFUSALS = (403, 404)


def actor_of(user: Any) -> Actor:
    """The actor of a signed-in person; one who is half in is nobody."""
    return actors.of_user(user if is_in(user) else AnonymousUser())


class SessionLimits:
    """Ends sessions that were ended elsewhere, stood idle too long or are too old; notes that others are in use.

    Stands after django_otp's middleware. What a page asks for by itself keeps no session alive.
    """

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        row = None
        if request.user.is_authenticated:
            key = request.session.session_key or ""
            row = sessions.look(key, request.user.pk, verified=is_verified(request.user))
            if row is None:
                logout(request)
        response = self.get_response(request)
        if row is not None and getattr(request.resolver_match, "url_name", None) not in BACKGROUND:
            sessions.touch(row)
        return response


class ActorMiddleware:
    """Gives each request its `actor`, and puts the database in that actor's scope until the answer is rendered.

    Stands after django_otp's middleware. A request that only reads is one transaction, templates included; one
    that acts is not, so that each act of it stands or falls by itself and may be begun again after a deadlock.
    What somebody asked for and may not have, or is not there for them, stands in the audit.
    """

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        request.actor = actor_of(request.user)
        with circumstances.amended(**request.actor.ids()), request.actor.scope():
            response = self._answer(request)
            if response.status_code in REFUSALS and request.resolver_match:
                asked = request.resolver_match.captured_kwargs
                row = str(asked.get("object_id") or asked.get("pk") or "")
                audit.refused(request.actor, response.status_code, request.resolver_match.route, row)
        return response

    def _answer(self, request: Any) -> Any:
        if request.actor.user_id is None or request.method not in ("GET", "HEAD"):
            return self.get_response(request)
        with transaction.atomic():
            return self.get_response(request)
