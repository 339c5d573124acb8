"""Our SMTP client against smtp-sink, which drops, defers and refuses by command."""

from __future__ import annotations

import time
from typing import Any

import pytest

from mailboxes.transports.base import (
    Outgoing,
    PermanentSendError,
    SendError,
    TransientSendError,
    UncertainSendError,
)
from mailboxes.transports.smtp import Login, SmtpTransport, Timeouts
from tests.mailboxes.peers import deliver, eventually
from tests.peers.smtp_sink import SmtpSink

pytestmark = pytest.mark.peer

MAIL = Outgoing("anna@sender.example", "bob@world.example", b"Subject: Hello\r\n\r\n.Hello\r\n" + b"x\r\n" * 500)


def to(port: int, **seconds: float) -> SmtpTransport:
    door = Login("127.0.0.1", port, "none", "", "", "me.example", allow_loopback=True)
    given: dict[str, float] = {"connect": 5, "command": 5, "data": 5, "block": 5, "dot": 5} | seconds
    return SmtpTransport(door, Timeouts(**given))


def error_of(*options: str, **seconds: float) -> SendError:
    with SmtpSink(*options) as sink:
        transport = to(sink.port, **seconds)
        with pytest.raises(SendError) as caught:
            deliver(transport, MAIL, pause_seconds=0.1)
        if type(caught.value) is UncertainSendError or caught.value.code in (None, 421):
            assert not transport.is_open
    return caught.value


def summary(error: SendError) -> tuple[Any, ...]:
    return type(error), error.phase, error.code


@pytest.mark.parametrize("options", [(), ("-p",), ("-8",), ("-E",), ("-a", "-C", "-F", "-N")])
def test_mails_arrive_once_each_over_one_connection(tmp_path, options):
    with SmtpSink(*options, dump=tmp_path / "dump") as sink:
        transport = to(sink.port)
        for number in range(20):
            receipt = deliver(transport, Outgoing(MAIL.envelope_from, f"bob{number}@world.example", MAIL.content))
        transport.close()
        assert "Ok" in receipt.text
        wanted = [f"bob{number}@world.example" for number in range(20)]
        assert eventually(lambda: sink.messages() == wanted)


@pytest.mark.fault("F05")
def test_a_drop_after_the_dot_is_uncertain_and_the_sink_has_the_copy(tmp_path):
    with SmtpSink("-q", ".", dump=tmp_path / "dump") as sink:
        with pytest.raises(UncertainSendError) as caught:
            deliver(to(sink.port), MAIL)
        assert eventually(lambda: sink.messages() == ["bob@world.example"])

    assert summary(caught.value) == (UncertainSendError, "dot", None)


@pytest.mark.fault("F06")
def test_an_answer_later_than_the_budget_is_uncertain():
    started = time.monotonic()

    assert summary(error_of("-W", ".:3", dot=0.5)) == (UncertainSendError, "dot", None)
    assert time.monotonic() - started < 2


@pytest.mark.fault("F07")
def test_a_421_and_a_450_at_the_dot_are_transient():
    assert summary(error_of("-Q", ".")) == (TransientSendError, "dot", 421)
    assert summary(error_of("-r", ".", "-b", "450 4.3.0 Later")) == (TransientSendError, "dot", 450)


@pytest.mark.fault("F08")
def test_a_554_at_the_dot_and_a_550_in_the_middle_are_permanent():
    refused = error_of("-f", ".", "-B", "554 5.1.1 No such user")
    assert summary(refused) == (PermanentSendError, "dot", 554)
    assert (refused.enhanced, refused.text) == ("5.1.1", "No such user")

    started = time.monotonic()
    assert summary(error_of("-A", "0"))[:2] == (PermanentSendError, "body")
    assert time.monotonic() - started < 2


@pytest.mark.fault("F09")
def test_greylisting_is_told_in_the_hosts_own_words():
    error = error_of("-r", "RCPT", "-b", "450 4.7.1 Greylisted, try again in 300 seconds")

    assert summary(error) == (TransientSendError, "rcpt", 450)
    assert (error.enhanced, error.text) == ("4.7.1", "Greylisted, try again in 300 seconds")


@pytest.mark.fault("F10")
@pytest.mark.parametrize(
    ("command", "phase"),
    [("CONNECT", "greeting"), ("EHLO", "ehlo"), ("MAIL", "mail"), ("RCPT", "rcpt"), ("DATA", "data")],
)
def test_drops_and_refusals_have_their_phase(command, phase):
    assert summary(error_of("-q", command)) == (TransientSendError, phase, None)
    assert summary(error_of("-Q", command)) == (TransientSendError, phase, 421)
    assert summary(error_of("-f", command)) == (PermanentSendError, phase, 500)
    assert summary(error_of("-r", command)) == (TransientSendError, phase, 450)


@pytest.mark.fault("F16")
def test_an_aborted_mail_is_not_kept(tmp_path):
    with SmtpSink(dump=tmp_path / "dump") as sink:
        transport = to(sink.port)
        transport.open()
        transport.offer(MAIL)
        transport.abort()
        deliver(transport, Outgoing(MAIL.envelope_from, "next@world.example", MAIL.content))
        transport.close()
        # The dump briefly holds part of the aborted mail, so it is read when the peers are gone.
        assert eventually(lambda: sink.messages() == ["next@world.example"])


def test_a_refused_recipient_leaves_the_connection_in_step():
    with SmtpSink("-f", "RCPT") as sink:
        transport = to(sink.port)
        for _ in range(3):
            with pytest.raises(PermanentSendError):
                deliver(transport, MAIL)
            assert transport.reusable
