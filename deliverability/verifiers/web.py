"""One POST of JSON with an end: in time, in bytes, and to public addresses only. No redirects, no second try."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from deliverability.verifiers.base import VerifierError
from outreach.common import connect
from outreach.common.errors import BadInput, Unavailable

MOST_BYTES = 2_000_000  # of an answer
PORTS = frozenset({443, 8443})


def post(
    url: str, body: Any, *, headers: Mapping[str, str], seconds: float, allow_loopback: bool = False,
    most_bytes: int = MOST_BYTES,
) -> Any:  # fmt: skip
    """Return the JSON of a 200. `https://` only, but to loopback where that is allowed. Raises VerifierError."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    if not parts.hostname or not (secure or (parts.scheme == "http" and allow_loopback)):
        raise VerifierError("refused", f"{url[:100]!r} is no https:// address.")
    ends = time.monotonic() + seconds
    try:
        port = parts.port or (443 if secure else 80)
        sock = connect.dial(parts.hostname, port, seconds, allow_loopback=allow_loopback, ports=PORTS)
    except (BadInput, Unavailable, ValueError) as error:
        raise VerifierError("unreachable", str(error)) from error
    # A time-out counts from byte to byte; whoever drips would keep us for ever.
    watch = threading.Timer(max(ends - time.monotonic(), 0), _hang_up, [sock])
    watch.daemon = True
    watch.start()
    try:
        path = parts.path or "/"
        target = f"{path}?{parts.query}" if parts.query else path
        status, data = _talk(sock, parts.hostname, port, target, body, headers, secure=secure, most=most_bytes)
    except (OSError, http.client.HTTPException, ValueError) as error:
        code = "timeout" if time.monotonic() >= ends or isinstance(error, TimeoutError) else "unreachable"
        raise VerifierError(code, f"{parts.hostname} gave no answer: {type(error).__name__}") from error
    finally:
        watch.cancel()
        sock.close()
    if time.monotonic() >= ends:
        raise VerifierError("timeout", f"{parts.hostname} gave no answer in {seconds:.0f} s.")
    if status != 200:
        raise VerifierError("limited" if status == 429 else "refused", f"{parts.hostname} answers {status}.")
    if len(data) > most_bytes:
        raise VerifierError("nonsense", f"The answer of {parts.hostname} has more than {most_bytes:,} bytes.")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise VerifierError("nonsense", f"The answer of {parts.hostname} is no JSON.") from error


def _talk(
    sock: socket.socket, host: str, port: int, target: str, body: Any, headers: Mapping[str, str], *,
    secure: bool, most: int,
) -> tuple[int, bytes]:  # fmt: skip
    if secure:
        sock = ssl.create_default_context().wrap_socket(sock, server_hostname=host)
    link = http.client.HTTPConnection(host, port)
    link.sock = sock
    link.auto_open = 0
    told = {"Content-Type": "application/json", "Accept": "application/json", "Connection": "close", **headers}
    link.request("POST", target, json.dumps(body).encode(), told)
    with link.getresponse() as answer:
        return answer.status, answer.read(most + 1)


def _hang_up(sock: socket.socket) -> None:
    """Wake whoever reads from it."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
