"""Who acts in a request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.utils.functional import SimpleLazyObject

from tenants.services import actors
from tenants.services.actors import Actor


def actor_of(user: Any) -> Actor:
    """The actor of a signed-in person; one without a verified second factor is nobody."""
    verified = getattr(user, "is_verified", None)
    return actors.of_user(user if verified is not None and verified() else AnonymousUser())


class ActorMiddleware:
    """Gives each request its `actor`, computed when first asked. Stands after django_otp's middleware."""

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        request.actor = SimpleLazyObject(lambda: actor_of(request.user))
        return self.get_response(request)
