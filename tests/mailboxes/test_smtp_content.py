"""What goes over the wire, and how a sink understands it."""

from __future__ import annotations

import hashlib
import socket
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailboxes.transports.base import (
    Outgoing,
    PermanentSendError,
    TransientSendError,
)
from mailboxes.transports.content import on_the_wire
from outreach.common import connect
from tests.faults.sink import FaultSink, Rule
from tests.mailboxes.peers import SmtpPeer
from tests.mailboxes.scripted import MAIL, Conversation, scripted, to


@pytest.mark.parametrize(
    ("changes", "phase", "enhanced"),
    [
        ({"recipient": "böb@world.example"}, "rcpt", "5.6.7"),
        ({"envelope_from": "änna@sender.example"}, "mail", "5.6.7"),
        ({"content": "Subject: x\r\n\r\nä\r\n".encode()}, "mail", "5.6.3"),
        ({"content": b"Subject: x\r\n\r\n" + b"x" * 2000 + b"\r\n"}, "mail", "5.3.4"),
    ],
)
def test_what_a_server_can_not_carry_is_refused_and_never_mangled(changes, phase, enhanced):
    def script(talk: Conversation) -> None:
        talk.greet(b"250-old.example\r\n250 SIZE 1000\r\n")
        talk.listen()

    mail = {
        "envelope_from": MAIL.envelope_from,
        "recipient": MAIL.recipient,
        "content": MAIL.content,
    } | changes
    with scripted(script) as server:
        transport = to(server.port)
        transport.open()
        with pytest.raises(PermanentSendError) as caught:
            transport.offer(Outgoing(**mail))
        assert transport.reusable
        transport.abort()
        heard = server.talks[0].heard
        transport.close()

    assert (caught.value.phase, caught.value.code, caught.value.enhanced) == (phase, None, enhanced)
    assert heard == b"EHLO me.example\r\n"


PIECES = st.sampled_from(
    [
        b"\r",
        b"\n",
        b"\r\n",
        b".",
        b"..",
        b"a",
        b"\n.\n",
        b"\r\n.\r\n",
        b"\n.\r\n",
        b"\r.\r",
        b"MAIL FROM:<x@y.example>",
    ]
)


@pytest.fixture(scope="module")
def plain_sink(tmp_path_factory):
    with FaultSink(tmp_path_factory.mktemp("plain") / "book") as sink:
        yield sink


@pytest.mark.attack("A04")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(PIECES, max_size=30))
def test_whatever_the_content_the_sink_gets_exactly_one_message(plain_sink, pieces):
    content = b"".join(pieces)
    peer = SmtpPeer(plain_sink, "none", None)
    transport = peer.transport()
    transport.open()
    transport.offer(Outgoing(MAIL.envelope_from, MAIL.recipient, content))
    transport.commit()
    assert transport.reusable
    transport.close()

    lines = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    lines = lines[:-1] if lines[-1] == b"" else lines
    wanted = b"".join(line + b"\r\n" for line in lines) or b"\r\n"
    assert [entry.sha256 for entry in peer.entries()] == [hashlib.sha256(wanted).hexdigest()]


def test_only_crlf_ends_a_line_and_leading_dots_are_doubled():
    assert on_the_wire(b".a\r\n.\r\n\r\n..b\rc\nd") == b"..a\r\n..\r\n\r\n...b\r\nc\r\nd\r\n"


def test_an_address_beyond_ascii_goes_through_where_the_server_takes_it(plain_sink):
    peer = SmtpPeer(plain_sink, "none", None)
    transport = peer.transport()
    transport.open()
    transport.offer(Outgoing("änna@sender.example", "böb@world.example", "Subject: ä\r\n\r\nä\r\n".encode()))
    transport.commit()
    transport.close()

    assert [(mail[0], mail[1]) for mail in peer.has()] == [("änna@sender.example", "böb@world.example")]


@pytest.mark.fault("F09")
def test_a_greylisting_sink_takes_the_second_try(plain_sink):
    peer = SmtpPeer(plain_sink, "none", None)
    peer.rules(Rule("rcpt", greylist_seconds=0.2))
    transport = peer.transport()
    transport.open()
    with pytest.raises(TransientSendError, match="try again in 0.2 seconds"):
        transport.offer(MAIL)
    time.sleep(0.25)
    transport.offer(MAIL)
    transport.commit()
    transport.close()
    peer.calm()

    assert len(peer.has()) == 1


def test_every_socket_sends_small_writes_at_once(plain_sink):
    with connect.dial("127.0.0.1", plain_sink.port, 1, allow_loopback=True) as sock:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_many_connections_are_held_at_once(plain_sink):
    peer = SmtpPeer(plain_sink, "none", None)
    errors: list[Exception] = []
    gate = threading.Barrier(100)

    def one(number: int) -> None:
        try:
            transport = peer.transport()
            transport.open()
            gate.wait(20)
            transport.offer(Outgoing("anna@sender.example", f"bob{number}@world.example", MAIL.content))
            transport.commit()
            transport.close()
        except Exception as error:  # noqa: BLE001 - shown below
            errors.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert len({recipient for _, recipient, _ in peer.has()}) == 100
