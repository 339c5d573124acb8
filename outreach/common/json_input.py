"""JSON that comes in: bounded, and refused with a sentence whatever is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from django.core.exceptions import RequestDataTooBig
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser


class TooLarge(APIException):
    """More than DATA_UPLOAD_MAX_MEMORY_SIZE."""

    status_code, default_code = 413, "too_large"
    default_detail = "The body is larger than what is read."


class JsonInput(BaseParser):
    """An object in UTF-8. DRF's own parser would read a body of any size, and fall over deep nesting."""

    media_type = "application/json"

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        try:
            body = (parser_context or {})["request"]._request.body
        except RequestDataTooBig as error:
            raise TooLarge from error
        try:
            found = json.loads(body.decode(), parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            place = f"line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
            raise ParseError(f"The body is no JSON in UTF-8{place and f': {place}'}.") from error
        if not isinstance(found, dict):
            raise ParseError("The body is no JSON object.")
        return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
