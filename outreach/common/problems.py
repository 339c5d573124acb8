"""What the API answers when something is wrong: problem details (RFC 9457), whoever noticed it.

`code` is ours (outreach.common.errors) and stable; `errors` names each field that is wrong. Nothing of an
unexpected error leaves the house but its status.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpResponse
from rest_framework import exceptions
from rest_framework.response import Response

from outreach.common.errors import OutreachError

log = structlog.get_logger(__name__)

CONTENT_TYPE = "application/problem+json"
CHALLENGE = 'Bearer realm="api"'
CODES = {400: "bad_input", 401: "unknown_key", 403: "not_allowed", 404: "missing", 500: "internal"}
SENTENCES = {
    400: "The request can't be understood.",
    404: "There is nothing here that you may know of.",
    500: "Something went wrong on our side. It is on record; the same request may work later.",
}
PASSED_ON = (
    "missing",
    "source",
    "target",
    "permission",
    "act",
    "subject_id",
    "terms",
)  # details of ours that machines may want
WRONG_FIELDS = "Some of what was sent can't be used; each field says why."


class FieldErrors(OutreachError):
    """Input that names no service: unknown fields, parameters, pages."""

    code, http_status = "bad_input", 400

    def __init__(self, errors: Mapping[str, list[str]]) -> None:
        super().__init__(WRONG_FIELDS)
        self.errors = errors


def shape(status: int, code: str, detail: str, instance: str, **more: Any) -> dict[str, Any]:
    """The object itself. `type` is about:blank, so `title` is what the status means (RFC 9457, 4.2.1)."""
    title = HTTPStatus(status).phrase
    return {"type": "about:blank", "title": title, "status": status, "detail": detail} | {
        "instance": instance,
        "code": code,
        **more,
    }


def answer(request: Any, status: int) -> HttpResponse:
    """A problem where no view of the API came to answer. Plain ASCII: what is echoed may be no Unicode."""
    found = shape(status, CODES.get(status, "error"), SENTENCES[status], request.path)
    return HttpResponse(json.dumps(found), content_type=CONTENT_TYPE, status=status)


def handle(error: Exception, context: Mapping[str, Any]) -> Response:
    """DRF's exception handler. Every error becomes an answer; those that nobody foresaw are logged."""
    path = context["request"].path
    headers: dict[str, str] = {}
    if isinstance(error, OutreachError):
        found = _of_ours(error, path)
    elif isinstance(error, Http404):
        found = shape(404, "missing", SENTENCES[404], path)
    elif isinstance(error, PermissionDenied):
        found = shape(403, "not_allowed", "This key may not do that.", path)
    elif isinstance(error, exceptions.APIException):
        found = _of_drf(error, path)
        if isinstance(error, exceptions.Throttled) and error.wait is not None:
            headers["Retry-After"] = str(max(1, math.ceil(error.wait)))
    elif isinstance(error, SuspiciousOperation):
        found = shape(400, "bad_input", SENTENCES[400], path)
    else:
        view = type(context.get("view")).__name__
        log.error("api.failed", view=view, method=context["request"].method, exc_info=error)
        found = shape(500, "internal", SENTENCES[500], path)
    if found["status"] == 401:
        headers["WWW-Authenticate"] = CHALLENGE
    return Response(_encodable(found), status=found["status"], headers=headers, content_type=CONTENT_TYPE)


def _of_ours(error: OutreachError, path: str) -> dict[str, Any]:
    more = {name: error.details[name] for name in PASSED_ON if name in error.details}
    if isinstance(error, FieldErrors):
        more["errors"] = error.errors
    elif error.details.get("field"):
        more["errors"] = {str(error.details["field"]): [str(error)]}
    return shape(error.http_status, error.code, str(error), path, **more)


def _of_drf(error: exceptions.APIException, path: str) -> dict[str, Any]:
    if isinstance(error, exceptions.ValidationError):
        return shape(400, "bad_input", WRONG_FIELDS, path, errors=_flat(error.detail))
    code = CODES.get(error.status_code) or str(error.default_code)
    return shape(error.status_code, code, str(error.detail), path)


def _flat(detail: Any) -> dict[str, list[str]]:
    """{"entries": {3: ["No."]}} as {"entries.3": ["No."]}."""
    found: dict[str, list[str]] = {}
    for place, sentence in _walk(detail, ""):
        found.setdefault(place or "body", []).append(sentence)
    return found


def _walk(detail: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(detail, Mapping):
        for name, below in detail.items():
            yield from _walk(below, place if name == "non_field_errors" else f"{place}.{name}".strip("."))
    elif isinstance(detail, list):
        for below in detail:
            yield from _walk(below, place)
    else:
        yield place, str(detail)


def _encodable(value: Any) -> Any:
    """The same with every lone surrogate written out: echoed text may hold them, and UTF-8 has none."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {_encodable(name): _encodable(item) for name, item in value.items()}
    return [_encodable(item) for item in value] if isinstance(value, (list, tuple)) else value


def in_schema(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """drf-spectacular's hook: say of every operation that whatever else it answers is a problem."""
    text, number = {"type": "string"}, {"type": "integer"}
    properties = {name: text for name in ("type", "title", "detail", "instance", "code")} | {"status": number}
    errors = {"type": "object", "additionalProperties": {"type": "array", "items": text}}
    result["components"]["schemas"]["Problem"] = {
        "type": "object",
        "properties": properties | {"errors": errors},
        "required": sorted(properties),
    }
    content = {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for path in result["paths"].values():
        for operation in path.values():
            operation["responses"]["default"] = {"description": "A problem (RFC 9457)", "content": content}
    return result
