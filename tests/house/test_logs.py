"""One event, one line, no secrets."""

import json
import logging
import re
import urllib.parse

import pytest
import structlog

from outreach import logs

KEY = "k1:" + "A" * 43 + "="


@pytest.fixture
def lines(capsys):
    """A function that logs and returns the lines that came out, parsed."""

    def read(act):
        logs.configure({"level": "INFO"})
        act()
        return [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    yield read
    logs.configure({"level": "WARNING"})


def test_a_line_break_forges_no_second_line(lines):
    (event,) = lines(lambda: logging.getLogger("x").warning("name %s", 'a\n{"event": "forged"}\u2028'))
    assert event["event"] == 'name a\n{"event": "forged"}\u2028'


@pytest.mark.parametrize(
    ("fields", "secret"),
    [
        ({"smtp_password": "hunter2"}, "hunter2"),
        ({"nested": {"Authorization": "Bearer abc"}}, "abc"),
        ({"url": "postgresql://web:hunter2@db/console"}, "hunter2"),
        ({"error": f"bad value {KEY} in settings"}, KEY),
        ({"event": f"Forbidden (CSRF token missing.): /console/invitation/{'t0ken-' * 7}x/"}, "t0ken"),
        ({"seen": f"<WSGIRequest: GET '/u/{'t0ken.' * 12}'>"}, "t0ken"),
        ({"line": "AUTH PLAIN AGFubmEAaHVudGVyMg=="}, "AGFubmEAaHVudGVyMg=="),
        ({"path": "/api/v1/ok_0123456789ab_" + "S" * 43}, "SSSS"),
    ],
)
def test_secrets_do_not_reach_the_log(lines, fields, secret):
    (event,) = lines(lambda: structlog.get_logger("x").info(**{"event": "tried"} | fields))
    assert secret not in json.dumps(event)
    assert logs.HIDDEN in json.dumps(event)


def test_what_was_searched_for_reaches_no_log(lines, rf):
    request = rf.get("/api/v1/contacts/?email=ann@example.com")
    (event,) = lines(lambda: logging.getLogger("django.request").warning("Bad Request", extra={"request": request}))
    assert "ann@example.com" not in json.dumps(event)


def test_an_exception_stays_on_one_line_and_loses_its_secrets(lines):
    def act():
        try:
            raise ValueError(f"postgresql://web:hunter2@db/ {KEY}")
        except ValueError:
            logging.getLogger("x").exception("failed")

    (event,) = lines(act)
    assert "ValueError" in event["exception"]
    assert "hunter2" not in json.dumps(event)


# --- Names that break logs ------------------------------------------------------------------------------------

HOSTILE = [
    'x\n{"event": "forged"}', "x\r\nforged", "\x1b[2K\x1b[1A\x1b[31mforged\x1b[0m", '"}\n{"event": "forged", "x": "',
    "x\u2028forged", "x\x85forged\x0b\x0c\x1c", "x\x00forged", "x\u202egrof", "x\udcffforged", "\\", "%s %(x)s {x} $x",
    "x" * 5000,
]  # fmt: skip


class Named:
    """Somebody else's object with a name of its own."""

    def __init__(self, name):
        self.name = name

    def __str__(self):
        return self.name

    __repr__ = __str__


def failing(text):
    try:
        raise ValueError(text) from KeyError(text)
    except ValueError:
        logging.getLogger("x").exception("failed")


def refused_host(text):
    from django.core.exceptions import DisallowedHost
    from django.test import RequestFactory

    request = RequestFactory().get("/", headers={"host": text})
    try:
        request.get_host()
    except DisallowedHost as error:
        logging.getLogger("django.security.DisallowedHost").error(str(error), extra={"request": request})


def missing_page(text):
    from django.test import Client

    Client(headers={"user-agent": text, "referer": text}).get(f"/{urllib.parse.quote(text, errors='surrogateescape')}")


def stopped_mailbox(text):
    """As sender and audit say what a mail server answered."""
    structlog.get_logger("audit").info("mailbox.stopped", reason=text, text=text)


DOORS = {
    "event": lambda text: structlog.get_logger("x").warning(text),
    "value": lambda text: structlog.get_logger("x").warning("tried", name=text),
    "key": lambda text: structlog.get_logger("x").warning("tried", values={text: 1}),
    "object": lambda text: structlog.get_logger("x").warning("tried", tenant=Named(text), more=[Named(text)]),
    "argument": lambda text: logging.getLogger("x").warning("name %s", text),
    "extra": lambda text: logging.getLogger("x").warning("name", extra={"name_of": text}),
    "exception": failing,
    "host": refused_host,
    "path": missing_page,
    "answer": stopped_mailbox,
}


@pytest.mark.attack("A37")
@pytest.mark.parametrize("door", list(DOORS))
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_whatever_a_name_holds_an_event_is_one_line_of_plain_ascii(capfd, door, text, db):
    logs.configure({"level": "INFO"})
    try:
        DOORS[door](text)
    finally:
        logs.configure({"level": "WARNING"})
    written = capfd.readouterr().err

    assert written.endswith("\n")
    assert written.isascii()
    assert set(re.findall(r"[\x00-\x1f\x7f]", written)) == {"\n"}
    events = [json.loads(line) for line in written.split("\n")[:-1]]
    assert "forged" not in {event["event"] for event in events}
    assert len(events) == (2 if door == "path" else 1)  # Django's word on the page, and the request
