"""In which circumstances something happens: one place to ask, for the log, the history and the audit.

Doors enter them: a middleware for each request, the API once it knows the key, commands, jobs, cron. They hold
for the thread (or task) that entered them; a new thread begins in none. They name ids, the caller's network
address and names of our own code, never an e-mail address or a person's name.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import uuid
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

from outreach.common import origins

Via = Literal["", "request", "api", "command", "job", "cron"]


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is known; empty texts and None stand for what is not.

    `request_id` is made by us for each request, run of a command and turn of cron; of a job it is RQ's.
    `name` is a request's route (of those that may change something), a command, a task or a row of cron's table.
    `user_id` and `key_id` are those of who was signed in when it began.
    """

    request_id: str = ""
    ip: str = ""
    via: Via = ""
    name: str = ""
    actor_kind: str = ""
    user_id: int | None = None
    key_id: int | None = None

    def facts(self) -> dict[str, Any]:
        """What is known, by name."""
        every = ((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))
        return {name: value for name, value in every if value not in ("", None)}

    def as_json(self) -> str:
        """The facts as one JSON object, "" when nothing is known."""
        return json.dumps(self.facts()) if self != NONE else ""


NONE = Circumstances()
_current: ContextVar[Circumstances] = ContextVar("circumstances", default=NONE)


def current() -> Circumstances:
    """What holds here and now."""
    return _current.get()


def new_id() -> str:
    """An id that nobody can guess, for a request or a run."""
    return str(uuid.uuid4())


def address(text: str) -> str:
    """A network address in its usual form, "" for anything else."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""


@contextmanager
def entered(circumstances: Circumstances) -> Iterator[Circumstances]:
    """Be in these for a while, whatever held before."""
    token = _current.set(circumstances)
    try:
        yield circumstances
    finally:
        _current.reset(token)


def begun(via: Via, name: str = "", *, request_id: str = "", **known: Any) -> Any:
    """Enter circumstances of their own, with a new id unless there is one."""
    return entered(Circumstances(request_id or new_id(), via=via, name=name, **known))


def amended(**changes: Any) -> Any:
    """Enter what holds, with these changes."""
    return entered(dataclasses.replace(current(), **changes))


def learn(**changes: Any) -> None:
    """Change what holds until whoever entered it leaves: for what comes to light on the way."""
    _current.set(dataclasses.replace(current(), **changes))


def in_log(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Structlog processor: each line names the request, job or run in which it was written."""
    if request_id := current().request_id:
        event.setdefault("request_id", request_id)
    return event


class Middleware:
    """Gives each request an id, which its answer carries as X-Request-Id. What a client sends as one is not read.

    Stands first, so that every line of the log and every answer has it.
    """

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        with begun("request", ip=address(origins.address_of(request.META))) as here:
            response = self.get_response(request)
        response.headers["X-Request-Id"] = here.request_id
        return response

    def process_view(self, request: Any, view: Any, args: Any, kwargs: Any) -> None:
        """The route, not the path, which may hold a token. Not of what only reads: its transaction runs already."""
        if request.method not in ("GET", "HEAD"):
            learn(name=request.resolver_match.route[:200])
