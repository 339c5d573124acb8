"""The first start, the doctor, and the parent of all processes."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from io import StringIO

import psutil
import pytest
from django.conf import settings
from django.core.management import call_command

from outreach import embedded, firststart
from outreach.management import checkup


def test_the_first_start_writes_keys_once_and_for_the_owner_only(tmp_path, monkeypatch):
    for name in firststart.SIGNS:
        monkeypatch.delenv(name, raising=False)

    assert firststart.write(tmp_path, 8000)
    written = (tmp_path / "env").read_text()
    assert not firststart.write(tmp_path, 9000)

    assert (tmp_path / "env").read_text() == written
    assert stat.S_IMODE((tmp_path / "env").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["env"]


def test_a_configured_console_gets_no_keys_written(tmp_path, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://web@db/console")
    assert not firststart.write(tmp_path, 8000)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.django_db
def test_the_doctor_shows_key_ids_and_never_keys(running_servers):
    out = StringIO()
    with suppress(SystemExit):  # the keys of the tests are development keys, which it minds
        call_command("doctor", "--json", stdout=out)
    answer = json.loads(out.getvalue())

    assert {finding["name"] for finding in answer["findings"]} >= {
        "database",
        "roles",
        "clock",
        "migrations",
        "queue",
    }
    for name in ("CREDENTIAL_KEYS", "TOKEN_KEYS"):
        assert getattr(settings, name).partition(":")[2] not in out.getvalue()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("web", "worker", "debug", "state", "words"),
    [
        ("one", "one", False, "bad", "web and worker sign in as the owner"),
        ("one", "one", True, "warning", "web and worker sign in as the owner"),
        ("two", "one", False, "bad", "worker signs in as the owner"),
        ("one", "two", False, "bad", "web signs in as the owner"),
        ("two", "two", False, "warning", "web and worker share a database role"),
        ("two", "three", False, "good", "web two, worker three, owner one"),
    ],
)
def test_the_doctor_finds_no_wall_where_the_owner_signs_in(settings, web, worker, debug, state, words):
    settings.DEBUG = debug
    settings.DATABASE_USERS = {"web": web, "worker": worker, "owner": "one"}

    (found,) = [finding for finding in checkup.database() if finding.name == "roles"]

    assert (found.state, bool(found.remedy)) == (state, state != "good")
    assert words in found.found


def test_the_doctor_says_once_that_the_database_is_away(monkeypatch):
    def away():
        from django.db import OperationalError

        raise OperationalError("connection refused")
        yield

    monkeypatch.setattr(checkup, "database", away)
    monkeypatch.setattr(checkup, "LOOKS", [away, away, checkup.keys])

    found = [finding.found for finding in checkup.look() if not finding.name.endswith("_KEYS")]
    assert found == ["connection refused"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
    return found


def test_up_serves_restarts_a_killed_child_and_stops_in_order(tmp_path):
    """A whole console of its own, from nothing to nothing."""
    state, port = tmp_path / "state", free_port()
    taken = {"DJANGO_SETTINGS_MODULE", "DATABASE_ROLE", *firststart.SIGNS}
    env = {name: value for name, value in os.environ.items() if name not in taken} | {"STATE_DIR": str(state)}
    command = [sys.executable, "manage.py", "up", "--port", str(port), "--send", "1"]
    log = (tmp_path / "log").open("w")
    process = subprocess.Popen(command, cwd=settings.BASE_DIR, env=env, stdout=log, stderr=log)
    try:
        wait_for(lambda: process.poll() is not None or "The console is at" in (tmp_path / "log").read_text())
        assert process.poll() is None, (tmp_path / "log").read_text()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/console/login/") as page:
            assert page.status == 200
            policy = page.headers["Content-Security-Policy"]
        assert "script-src 'self';" in policy

        second = subprocess.run(command, cwd=settings.BASE_DIR, env=env, capture_output=True, text=True)
        assert second.returncode == 1
        assert f"It runs already (process {process.pid})" in second.stderr

        parent = psutil.Process(process.pid)
        before = {child.pid for child in parent.children()}
        victim = max(before)
        os.kill(victim, signal.SIGKILL)
        after = wait_for(lambda: new_children(parent, victim, len(before)))
        assert len(after & before) == len(before) - 1

        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert embedded.Postgres(state).process() is None
        assert not any(psutil.pid_exists(pid) and is_alive(pid) for pid in after)
    finally:
        process.kill()
        embedded.Servers(state).stop()


def new_children(parent, victim, count):
    found = {child.pid for child in parent.children() if is_alive(child.pid)}
    return found if victim not in found and len(found) == count else None


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
