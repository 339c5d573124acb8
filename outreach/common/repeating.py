"""A transaction that is begun again when the database had to end it in favour of another one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import structlog
from django.db import DatabaseError, connection, transaction

log = structlog.get_logger(__name__)
REPEATABLE = frozenset({"40P01", "40001"})  # deadlock, serialization failure
TRIES = 4

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def atomic(act: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """As transaction.atomic, and run again, up to TRIES times in all, when it lost a deadlock.

    For stops and opt-outs: whoever asked for one must not get an error because a planner run or a
    sender crossed it. Inside another transaction nothing is repeated, since that one is lost as well.
    The arguments are used again, so none may be an iterator.
    """

    @functools.wraps(act)
    def repeated(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        tries = 1 if connection.in_atomic_block else TRIES
        while True:
            try:
                with transaction.atomic():
                    return act(*args, **kwargs)
            except DatabaseError as error:
                tries -= 1
                state = getattr(error.__cause__, "sqlstate", None)
                if not tries or state not in REPEATABLE:
                    raise
                log.info("transaction.repeated", act=act.__qualname__, sqlstate=state)

    return repeated
