"""The demo from nothing to a console, small: real commands, servers, workers and SMTP."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, Request, build_opener

import pytest
from django.conf import settings

from outreach import embedded, firststart
from outreach.demo import conditions

MAILBOXES, CONTACTS = 48, 144
SIZES = ("--mailboxes", str(MAILBOXES), "--contacts", str(CONTACTS))
COUNTS = set(
    re.findall(
        r"\w+",
        "mailboxes contacts planned sent deferred failed suppressed uncertain sink_accepted copies_max lost "
        "mailboxes_used caps_exceeded plan_seconds send_seconds messages_per_second",
    )
)


class Demo:
    """`manage.py demo` in a state directory of its own."""

    def __init__(self, folder: Path) -> None:
        self.state, self.folder = folder / "state", folder
        taken = {"DJANGO_SETTINGS_MODULE", "DATABASE_ROLE", *firststart.SIGNS}
        self.env = {name: value for name, value in os.environ.items() if name not in taken}
        self.env |= {"STATE_DIR": str(self.state)}

    def command(self, *options: str) -> list[str]:
        return [sys.executable, "manage.py", "demo", *options]

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*options), cwd=settings.BASE_DIR, env=self.env, capture_output=True, text=True, timeout=240
        )

    def start(self, *options: str) -> tuple[subprocess.Popen[bytes], Path, Path]:
        """The process, and the files that take what it says on stdout and stderr."""
        out, err = self.folder / "out", self.folder / "err"
        with out.open("wb") as one, err.open("wb") as two:
            process = subprocess.Popen(
                self.command(*options), cwd=settings.BASE_DIR, env=self.env, stdout=one, stderr=two
            )
        return process, out, err

    @property
    def book(self) -> Path:
        return self.state / "demo" / "sink.jsonl"


def wait_for(process, file, text, seconds=120):
    deadline = time.monotonic() + seconds
    while text not in file.read_text():
        assert process.poll() is None, file.read_text()
        assert time.monotonic() < deadline, f"{text!r} did not come: {file.read_text()}"
        time.sleep(0.1)
    return file.read_text()


def check(run):
    """Nothing lost, nothing doubled, no cap exceeded, and both books agree."""
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)

    assert set(report) >= COUNTS
    assert (report["mailboxes"], report["contacts"], report["planned"]) == (MAILBOXES, CONTACTS, CONTACTS)
    assert report["sent"] + report["failed"] + report["suppressed"] + report["uncertain"] == CONTACTS
    assert (report["deferred"], report["lost"], report["copies_max"], report["caps_exceeded"]) == (0, 0, 1, 0)
    assert report["sent"] <= report["sink_accepted"] <= report["sent"] + report["uncertain"]
    assert report["failed"] == report["sink_refused"] > 0
    assert report["mailboxes_used"] >= MAILBOXES * 5 // 6
    assert report["problems"] == []


def test_the_demo_from_nothing_to_a_console(tmp_path):
    """One test, since each of its steps needs the demo that the one before has left."""
    demo = Demo(tmp_path)
    try:
        check(demo.run("--exit", "--json", *SIZES))
        the_next_start_brings_up_the_console_alone(demo)
        books_that_do_not_agree_end_with_an_error(demo)
        other_sizes_need_a_fresh_start(demo)
    finally:
        embedded.Servers(demo.state).stop()


@pytest.mark.full
def test_a_killed_demo_goes_on(tmp_path):
    demo = Demo(tmp_path)
    try:
        process, _out, err = demo.start("--exit", "--json", *SIZES)
        deadline = time.monotonic() + 120
        while not (demo.book.exists() and demo.book.stat().st_size > 20_000):
            assert process.poll() is None, err.read_text()
            assert time.monotonic() < deadline, "it did not begin to send"
            time.sleep(0.05)
        process.kill()
        process.wait()
        check(demo.run("--exit", "--json"))
    finally:
        embedded.Servers(demo.state).stop()


def the_next_start_brings_up_the_console_alone(demo):
    before = demo.book.read_bytes()
    began = time.monotonic()
    process, out, err = demo.start()
    try:
        said = wait_for(process, out, "starts over")
        took = time.monotonic() - began
        get = sign_in(re.search(r"http://localhost:\d+", said)[0], said)
        campaigns = get("/console/campaigns/campaign/")
        code = demo.run("--code")
        again = demo.run()
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, err.read_text()

    assert took < 15 * (3 if os.getloadavg()[0] > 4 else 1)
    assert "Contacts from CSV" not in err.read_text()
    assert demo.book.read_bytes() == before
    assert "Autumn freight rates" in campaigns
    assert re.fullmatch(r"\d{6}\n", code.stdout)
    assert again.returncode == 1
    assert "It runs already" in again.stderr


def sign_in(base, said):
    """Sign in with what the demo printed; returns a function that gets pages."""
    opener = build_opener(HTTPCookieProcessor(CookieJar()))

    def get(path):
        return opener.open(base + path).read().decode()

    def printed(name):
        return re.search(rf"^ +{name} +(\S+)", said, re.MULTILINE)[1]

    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', get("/console/login/"))[1]
    fields = {
        "csrfmiddlewaretoken": token,
        "username": printed("user"),
        "password": printed("password"),
        "otp_device": "",
        "otp_token": printed("code"),
        "next": "/console/",
    }
    place = f"{base}/console/login/"
    request = Request(place, urlencode(fields).encode(), {"Referer": place})  # noqa: S310 (printed by our demo)
    try:
        answer = opener.open(request)
    except urllib.error.HTTPError as error:
        raise AssertionError(error.read().decode()[:2000]) from error
    assert answer.url == f"{base}/console/"
    return get


def books_that_do_not_agree_end_with_an_error(demo):
    genuine = demo.book.read_bytes()
    doubled = next(line for line in genuine.splitlines() if json.loads(line)["kind"] == "accepted")
    try:
        demo.book.write_bytes(genuine + doubled + b"\n")
        run = demo.run("--exit", "--json")
    finally:
        demo.book.write_bytes(genuine)

    assert run.returncode == 1
    assert json.loads(run.stdout)["copies_max"] == 2
    assert "more than one copy" in run.stderr


def other_sizes_need_a_fresh_start(demo):
    run = demo.run("--exit", "--contacts", "100")
    assert run.returncode == 1
    assert "--fresh" in run.stderr


def test_a_taken_port_is_passed_over_and_an_asked_for_one_is_named(monkeypatch):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = taken.getsockname()[1]
        assert conditions.first_free([busy, busy + 1]) == busy + 1

    for name in ("OUTREACH_DEMO_PORT", "PUBLIC_URL", *conditions.SETTINGS):
        monkeypatch.setenv(name, "before")
        monkeypatch.delenv(name)
    conditions.apply(["manage.py", "demo", "--port", "9123"])
    assert conditions.port() == 9123
    assert os.environ["PUBLIC_URL"] == "http://localhost:9123"
