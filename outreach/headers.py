"""Headers that every answer carries and Django has no setting for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

CONSOLE = "script-src 'self'; style-src 'self'; img-src 'self' data:"
PUBLIC = "script-src 'none'; style-src 'self'; img-src 'self'"
EVERYWHERE = (
    "default-src 'none'; font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'; object-src 'none'"
)

KEPT = frozenset({"jsi18n"})  # a page of the console that holds nobody's data


class ContentSecurityPolicy:
    """Middleware: no inline script anywhere, no script at all on pages for recipients; no page of the console is kept.

    A view may set the header itself; that one stays.
    """

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        response = self.get_response(request)
        match = request.resolver_match
        inside = match is not None and "admin" in match.app_names
        response.headers.setdefault("Content-Security-Policy", f"{EVERYWHERE}; {CONSOLE if inside else PUBLIC}")
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        if inside and match.url_name not in KEPT and "no-store" not in response.headers.get("Cache-Control", ""):
            response.headers["Cache-Control"] = "no-store, private"
        response.headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()")
        return response
