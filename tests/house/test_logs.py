"""One event, one line, no secrets."""

import json
import logging

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
