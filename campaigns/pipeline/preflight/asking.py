"""One bounded question to a web server that a tenant named: by the guarded dialler only, no body kept, no cookie."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from campaigns import clicks
from outreach.common import connect
from outreach.common.errors import BadInput, OutreachError, Unavailable

WEB_PORTS = frozenset({80, 443})
TIMEOUT = 5.0  # of each step
WHOLE = 10.0  # for one answer, however slowly it drips
MOST_BYTES = 4096
REDIRECTS = 4
FAILURES = (OSError, http.client.HTTPException, ValueError)


@dataclass(frozen=True, slots=True)
class Answer:
    """status 0: none came, and `why` says why; `is_refused` then means that we may not even dial there."""

    status: int
    body: bytes = b""
    location: str = ""
    why: str = ""
    is_refused: bool = False


def ask(url: str, *, method: str = "HEAD", body: bytes | None = None, allow_loopback: bool = False) -> Answer:
    """Return what the host answers; nothing is raised."""
    url = clicks.location(url) or url
    try:
        parts = urlsplit(url)
        secure = parts.scheme.lower() == "https"
        host, port = parts.hostname or "", parts.port or (443 if secure else 80)
        sock = connect.dial(host, port, TIMEOUT, allow_loopback=allow_loopback, ports=WEB_PORTS)
    except BadInput as error:
        return Answer(0, why=str(error), is_refused=True)
    except (Unavailable, OutreachError) as error:
        return Answer(0, why=str(error))
    except FAILURES as error:
        return Answer(0, why=str(error)[:200])
    timer = threading.Timer(WHOLE, _shut, [sock])
    timer.daemon = True
    timer.start()
    try:
        return _talk(sock, url, host, port, secure, method, body)
    except FAILURES as error:
        return Answer(0, why=str(error)[:200] or "it hung up")
    finally:
        timer.cancel()
        with contextlib.suppress(OSError):
            sock.close()


def _shut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _talk(
    sock: socket.socket, url: str, host: str, port: int, secure: bool, method: str, body: bytes | None
) -> Answer:  # fmt: skip
    parts = urlsplit(url)
    if secure:
        sock = ssl.create_default_context().wrap_socket(sock, server_hostname=host)
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
    connection.sock = sock
    named = host if port in WEB_PORTS else f"{host}:{port}"
    headers = {"Host": named, "User-Agent": "Outreach preflight", "Accept": "*/*", "Connection": "close"}
    if body is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        place = response.headers.get("Location", "").encode("latin-1", "replace").decode("utf-8", "replace")
        return Answer(response.status, response.read(MOST_BYTES), place)
    finally:
        connection.close()


def follow(url: str, *, allow_loopback: bool = False) -> Answer:
    """As `ask`, to where redirects lead in the end; each place is dialled by the same guard."""
    for _hop in range(REDIRECTS):
        answer = ask(url, allow_loopback=allow_loopback)
        if answer.status not in (301, 302, 303, 307, 308) or not answer.location:
            return answer
        url = urljoin(url, answer.location)
        if not url.lower().startswith(("http://", "https://")):
            return Answer(0, why="it leads to no web address")
    return Answer(0, why="it leads round in circles")
