"""From a mailbox and its account to a function that makes a transport; each kind of account has one.

The function is called in a sender thread: it may open seals, and touches neither models nor the database.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from django.conf import settings

from mailboxes.transports.base import Transport
from mailboxes.transports.smtp import Login, SmtpTransport, Timeouts
from mailboxes.ways.way import Way
from outreach.common import connect


def connector(way: Way) -> Callable[[], Transport]:
    """What makes a transport for the mailbox, without a connection yet.

    The function raises OutreachError where the way can't be used: SealBroken for a secret that can't be opened.
    """
    return functools.partial(CONNECTORS[way.kind], way)


def smtp(way: Way) -> Transport:
    """A submission server, signed in to by the mailbox; by the account itself for mailboxes that are at home elsewhere.

    What a mailbox signs in with is its own host's, and no other server ever sees it.
    """
    username, password = way.username, way.password()
    if way.is_guest:
        username, password = str(way.options.get("username", "")), way.secret()
    login = Login(
        host=way.host,
        port=way.port,
        security=way.security,
        username=username,
        password=password,
        ehlo_name=settings.EHLO_NAME,
        allow_loopback=settings.SMTP_ALLOW_LOOPBACK,
    )
    return SmtpTransport(login, _timeouts(), functools.partial(connect.dial, ports=settings.SMTP_PORTS))


def _timeouts() -> Timeouts:
    return Timeouts(
        connect=settings.SMTP_CONNECT_SECONDS,
        command=settings.SMTP_COMMAND_SECONDS,
        data=settings.SMTP_DATA_SECONDS,
        block=settings.SMTP_BLOCK_SECONDS,
        dot=settings.SMTP_DOT_SECONDS,
    )


CONNECTORS: dict[str, Callable[[Way], Transport]] = {"smtp": smtp}
