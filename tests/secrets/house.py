"""A whole console of its own, as `up` runs it, with a person at a browser, a client system and commands."""

from __future__ import annotations

import http.cookiejar
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from django.conf import settings

from outreach import embedded, firststart
from tests.faults.conftest import until

QUICK = {
    "SMTP_ALLOW_LOOPBACK": "1",
    "RETRY_SCHEDULE": "1,2",
    "HOST_REST_SECONDS": "1",
    "CIRCUIT_FIRST_SECONDS": "1",
    "CIRCUIT_LONGEST_SECONDS": "2",
    "BATCH_AHEAD_SECONDS": "1",
    "BATCH_EVERY_SECONDS": "0.2",
    "PLAN_EVERY_SECONDS": "0.5",
    "SWEEP_EVERY_SECONDS": "0.5",
    "LOG_LEVEL": "DEBUG",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Console:
    """`said` is what every command and every page answered, by what was asked."""

    folder: Path
    port: int = field(default_factory=free_port)
    said: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.state = self.folder / "state"
        self.log = self.folder / "up.log"
        taken = {"DJANGO_SETTINGS_MODULE", "DATABASE_ROLE", "DJANGO_ALLOW_ASYNC_UNSAFE", *firststart.SIGNS}
        self.env = {name: value for name, value in os.environ.items() if name not in taken} | QUICK
        self.env["STATE_DIR"] = str(self.state)

    def start(self) -> None:
        command = [sys.executable, "manage.py", "up", "--port", str(self.port), "--send", "1"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=settings.BASE_DIR, env=self.env, stdout=log, stderr=log)
        until(lambda: self.process.poll() is not None or b"The console is at" in self.log.read_bytes(), "the console")
        assert self.process.poll() is None, self.log.read_text()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(90)

    def close(self) -> None:
        self.process.kill()
        embedded.Servers(self.state).stop()

    def keys(self) -> dict[str, str]:
        """What the first start wrote."""
        lines = (self.state / "env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if re.match("[A-Z_]+=", line))

    def command(self, *arguments: str, stdin: str = "", keep: bool = True, code: int = 0, **env: str) -> str:
        """Run manage.py; with `keep`, what it says counts as said."""
        run = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=settings.BASE_DIR, env=self.env | env, input=stdin, capture_output=True, text=True,
        )  # fmt: skip
        self.said[f"stderr of {arguments[0]} {len(self.said)}"] = run.stderr.encode()
        if keep:
            self.said[f"stdout of {arguments[0]} {len(self.said)}"] = run.stdout.encode()
        assert run.returncode == code, run.stdout + run.stderr
        return run.stdout

    def sql(self, statement: str, *values: Any) -> list[Any]:
        """As the superuser, past row-level security."""
        with embedded.Postgres(self.state).connect(database=embedded.DATABASE) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def tables(self) -> dict[str, bytes]:
        """Every row of every table as text."""
        names = self.sql(
            "SELECT c.oid::regclass::text FROM pg_class c WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        found = {}
        with embedded.Postgres(self.state).connect(database=embedded.DATABASE) as connection:
            for (name,) in names:
                with connection.cursor().copy(f"COPY {name} TO STDOUT") as rows:
                    found[f"table {name}"] = b"".join(bytes(row) for row in rows)
        return found

    def keys_of_valkey(self) -> dict[str, bytes]:
        """Every key of every database with its value, as the server writes it down itself."""
        found = {}
        with redis.Redis(unix_socket_path=str(embedded.Valkey(self.state).socket)) as client:
            for number in range(16):
                client.select(number)
                for key in client.scan_iter():
                    found[f"valkey {number} {key!r}"] = key + b" " + read(client, key)
        return found


def read(client: redis.Redis, key: bytes) -> bytes:
    values = {
        b"string": lambda: client.get(key),
        b"hash": lambda: client.hgetall(key),
        b"list": lambda: client.lrange(key, 0, -1),
        b"set": lambda: client.smembers(key),
        b"zset": lambda: client.zrange(key, 0, -1, withscores=True),
        b"stream": lambda: client.xrange(key),
    }
    parts: list[bytes] = []

    def collect(value: Any) -> None:
        if isinstance(value, bytes):
            parts.append(value)
        elif isinstance(value, Mapping):
            collect(list(value.items()))
        elif isinstance(value, (list, tuple, set)):
            for item in value:
                collect(item)

    collect(values[client.type(key)]())
    return b"\n".join(parts)


class Browser:
    """Pages with cookies, forms with their CSRF token. Whatever comes back counts as said, unless told otherwise."""

    def __init__(self, console: Console) -> None:
        self.console, self.base = console, f"http://localhost:{console.port}"
        self.jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))

    def cookie(self, name: str) -> str:
        return next((cookie.value or "" for cookie in self.jar if cookie.name == name), "")

    def get(self, path: str, *, keep: bool = True, **headers: str) -> tuple[int, bytes]:
        return self._open(urllib.request.Request(self.base + path, headers=headers), keep)

    def post(self, path: str, values: Mapping[str, Any], *, keep: bool = True, **headers: str) -> tuple[int, bytes]:
        form = {"csrfmiddlewaretoken": self.cookie("csrftoken"), **values}
        request = urllib.request.Request(
            self.base + path,
            urllib.parse.urlencode(form, doseq=True).encode(),
            {"Referer": self.base + path, **headers},
        )
        return self._open(request, keep)

    def _open(self, request: urllib.request.Request, keep: bool) -> tuple[int, bytes]:
        try:
            answer = self.opener.open(request, timeout=60)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            body, status = answer.read(), answer.status
            headers = "".join(f"{name}: {value}\n" for name, value in answer.headers.items() if name != "Set-Cookie")
        if keep:
            place = f"{request.get_method()} {urllib.parse.urlsplit(request.full_url).path} {len(self.console.said)}"
            self.console.said[place] = headers.encode() + body
        return status, body

    def crawl(self, start: str, most: int) -> int:
        """Follow the links of the console, two of each kind; returns how many pages there were."""
        waiting, kinds, seen = [start], dict[str, int](), set[str]()
        while waiting and len(seen) < most:
            path = waiting.pop(0)
            kind = re.sub(r"\d+", "0", path.partition("?")[0])
            if path in seen or kinds.get(kind, 0) >= 2 or "logout" in path:
                continue
            seen.add(path)
            kinds[kind] = kinds.get(kind, 0) + 1
            _, body = self.get(path)
            links = re.findall(rb'(?:href|hx-get)="(/(?:console|api)/[^"#]*)"', body)
            waiting += [link.decode().replace("&amp;", "&") for link in links]
        return len(seen)
