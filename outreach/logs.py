"""Structured logs: one JSON object per line on stderr, whoever wrote the event.

Values of keys that name a secret are replaced, and so are passwords in URLs and long key texts inside
messages. JSON escapes line breaks, so no value can forge a second line.
"""

from __future__ import annotations

import logging.config
import re
import sys
import time
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog

from outreach.common import circumstances

HIDDEN = "[hidden]"
SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)?|secret|token|credential|authori[sz]ation|cookie|api_?key|_keys?$|otp", re.I
)
URL_PASSWORD = re.compile(r"(://[^/\s:@]*:)[^@\s/]+@")
BEARER = re.compile(r"\b(bearer|basic|plain|login)\s+[A-Za-z0-9+/=_.-]{8,}", re.I)
KEY_TEXT = re.compile(r"\b([\w-]{1,40}:)[A-Za-z0-9+/]{43}=")  # id:base64 of 32 bytes, as in CREDENTIAL_KEYS
API_KEY = re.compile(r"\b(ok_[0-9a-f]{12}_)[\w-]{16,}")
LINK = re.compile(
    r"(/(?:invitation|u|c)/)[^/\s'\"]{8,}"
)  # Django names the path of what it refuses; the token is in it


def clean(value: Any) -> Any:
    """Return a value without the secrets that its text or its keys give away."""
    if isinstance(value, str):
        value = LINK.sub(rf"\1{HIDDEN}", value)
        value = BEARER.sub(rf"\1 {HIDDEN}", URL_PASSWORD.sub(rf"\1{HIDDEN}@", value))
        return API_KEY.sub(rf"\1{HIDDEN}", KEY_TEXT.sub(rf"\1{HIDDEN}", value))
    if isinstance(value, dict):
        return {key: HIDDEN if SECRET_NAME.search(str(key)) else clean(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [clean(item) for item in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return clean(str(value))


def hide_secrets(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Structlog processor: clean every field of an event, and put what every event has before the rest."""
    first = {name: event[name] for name in ("timestamp", "level", "logger", "event") if name in event}
    rest = {name: value for name, value in event.items() if name != "request"}  # Django's own, with the query string
    return clean(first | rest)


def configure(options: dict[str, Any]) -> None:
    """Set up structlog and logging alike, as Django does with LOGGING: `level`; `cache` keeps loggers once made."""
    shared: list[Callable[..., Any]] = [
        structlog.contextvars.merge_contextvars,
        circumstances.in_log,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=options.get("cache", False),
    )
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": [*shared, structlog.stdlib.ExtraAdder()],
        "processors": [
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            hide_secrets,
            structlog.processors.JSONRenderer(ensure_ascii=True),
        ],
    }
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"json": formatter},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "stream": sys.stderr, "formatter": "json"}},
            "root": {"handlers": ["stderr"], "level": options.get("level", "INFO")},
            "loggers": {
                "django.server": {"level": "WARNING"},  # RequestLog says it
                "rq.worker": {"level": "WARNING"},
                "axes": {"level": "WARNING"},
                "gunicorn.access": {"level": "WARNING"},
            },
        }
    )


class RequestLog:
    """Middleware: one event per request, without query string, since that may carry what was searched for."""

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response
        self.log = structlog.get_logger("outreach.requests")

    def __call__(self, request: Any) -> Any:
        started = time.monotonic()
        response = self.get_response(request)
        route = request.resolver_match.route if request.resolver_match else "(none)"  # the path may hold a token
        self.log.info(
            "request",
            method=request.method,
            route=route,
            status=response.status_code,
            milliseconds=round((time.monotonic() - started) * 1000, 1),
            user_id=getattr(getattr(request, "user", None), "pk", None),
            key_id=getattr(getattr(request, "actor", None), "key_id", None),
        )
        return response
