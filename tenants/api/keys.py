"""Who asks: the key in the Authorization header, nowhere else."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication

from outreach.common import origins
from outreach.common.errors import Unknown
from outreach.common.problems import CHALLENGE
from tenants.services import api_keys
from tenants.services.actors import Actor

LONGEST_HEADER = 200


class KeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer ok_...`. Nobody is a user here; the actor is what `request.auth` holds."""

    def authenticate(self, request: Any) -> tuple[None, Actor]:
        header = request.META.get("HTTP_AUTHORIZATION", "")
        scheme, _, text = header.partition(" ")
        if len(header) > LONGEST_HEADER or scheme.lower() != "bearer" or not text.strip():
            raise Unknown("Send your key in a header: Authorization: Bearer ok_...")
        return None, api_keys.authenticate(text.strip(), origins.address_of(request.META))

    def authenticate_header(self, request: Any) -> str:
        return CHALLENGE


class KeyScheme(OpenApiAuthenticationExtension):
    """What the schema says of it."""

    target_class, name = KeyAuthentication, "key"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "ok_<prefix>_<secret>"}
