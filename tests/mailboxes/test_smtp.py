"""SMTP against servers that lie, stall, flood and break the order."""

from __future__ import annotations

import functools
import socket
import struct
import time

import pytest

from mailboxes.transports.base import (
    Outgoing,
    PermanentSendError,
    TransientSendError,
    UncertainSendError,
)
from mailboxes.transports.smtp import Timeouts
from tests.mailboxes.peers import deliver, eventually
from tests.mailboxes.scripted import EHLO, MAIL, Conversation, fails, scripted, to


def drip(talk: Conversation) -> None:
    talk.accept_up_to_data()
    talk.hear(b"\r\n.\r\n")
    for byte in b"250 2.0.0 Ok, eventually\r\n":
        time.sleep(0.1)
        talk.say(bytes([byte]))


def after_dot(words: bytes, talk: Conversation) -> None:
    talk.accept_up_to_data()
    talk.hear(b"\r\n.\r\n")
    talk.say(words)
    if not words.endswith(b"\n"):
        talk.sock.shutdown(socket.SHUT_RDWR)
    talk.listen()


@pytest.mark.attack("A09")
@pytest.mark.parametrize("flood", [b"220 " + b"x" * 50_000_000, b"220-more\r\n" * 500_000, b"\0" * 50_000_000])
def test_a_flood_as_greeting_is_cut_off(flood):
    def script(talk: Conversation) -> None:
        talk.say(flood)

    with scripted(script) as server:
        error = fails(TransientSendError, server.port)

    assert error.phase == "greeting"
    assert error.code is None


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (b"hello\r\n", None),
        (b"2x0 Ok\r\n", None),
        (b"250\xffOk\r\n", None),
        (b"354 Go on\r\n", 354),
        (b"250-Ok\r\n550 No\r\n", None),
        (b"250 Ok, but no line end", None),
        (b"250-first line\r\n", None),
        (b"", None),
        (b"25", None),
        (b"250 " + b"x" * 5000 + b"\r\n", None),
        (b"250-x\r\n" * 101 + b"250 x\r\n", None),
    ],
)
@pytest.mark.attack("A09")
def test_nonsense_or_silence_after_the_dot_is_uncertain(words, code):
    with scripted(functools.partial(after_dot, words)) as server:
        error = fails(UncertainSendError, server.port)

    assert (error.phase, error.code) == ("dot", code)


@pytest.mark.fault("F06", "F11")
def test_a_reply_that_drips_in_can_not_stretch_the_budget():
    with scripted(drip) as server:
        started = time.monotonic()
        error = fails(UncertainSendError, server.port)

    assert time.monotonic() - started < 2
    assert (error.phase, error.text) == ("dot", "the server did not answer in time")


@pytest.mark.parametrize("silent", ["greeting", "ehlo", "mail"])
@pytest.mark.fault("F11")
def test_silence_ends_with_the_budget_of_its_phase(silent):
    def script(talk: Conversation) -> None:
        if silent != "greeting":
            talk.say(b"220 hello\r\n")
            talk.hear(b"\r\n")
            if silent != "ehlo":
                talk.say(EHLO)
        talk.listen()

    with scripted(script) as server:
        error = fails(TransientSendError, server.port)

    assert (error.phase, error.code, error.text) == (silent, None, "the server did not answer in time")


def test_data_accepted_after_the_recipient_was_refused_ends_without_a_dot():
    def script(talk: Conversation) -> None:
        talk.greet()
        talk.hear(b"DATA\r\n")
        talk.say(b"250 Ok\r\n550 5.1.1 Gone\r\n354 Go\r\n")
        talk.listen()

    with scripted(script) as server:
        error = fails(PermanentSendError, server.port)
        assert eventually(lambda: server.talks[0].heard.endswith(b"DATA\r\n"))

    assert (error.phase, error.code, error.enhanced) == ("rcpt", 550, "5.1.1")
    assert b"\r\n." not in server.talks[0].heard


def test_the_first_refusal_of_a_group_counts_also_when_the_peer_then_hangs_up():
    def script(talk: Conversation) -> None:
        talk.greet()
        talk.hear(b"DATA\r\n")
        talk.say(b"550 5.7.60 Not your address\r\n")

    with scripted(script) as server:
        error = fails(PermanentSendError, server.port)

    assert (error.phase, error.code, error.enhanced) == ("mail", 550, "5.7.60")


@pytest.mark.parametrize("early", [b"250 Ok\r\n", b"hello\r\n"])
def test_an_answer_before_the_dot_is_never_taken_for_one_to_it(early):
    def script(talk: Conversation) -> None:
        talk.greet()
        talk.hear(b"DATA\r\n")
        talk.say(b"250 Ok\r\n250 Ok\r\n354 Go\r\n" + early)
        talk.listen()

    with scripted(script) as server:
        error = fails(TransientSendError, server.port)

    assert error.phase == "body"
    assert b"\r\n.\r\n" not in server.talks[0].heard


def test_a_peer_that_refuses_and_stops_reading_does_not_block_a_big_body():
    def script(talk: Conversation) -> None:
        talk.accept_up_to_data()
        time.sleep(0.1)
        talk.say(b"552 5.3.4 Too big\r\n")
        time.sleep(1)

    big = Outgoing(MAIL.envelope_from, MAIL.recipient, b"x" * 70 + b"\r\n" + (b"y" * 70 + b"\r\n") * 400_000)
    with scripted(script) as server:
        transport = to(server.port, Timeouts(connect=1, command=1, data=1, block=5, dot=1))
        transport.open()
        transport._features.pop("SIZE")
        with pytest.raises(PermanentSendError) as caught:
            transport.offer(big)

    assert (caught.value.phase, caught.value.code, caught.value.enhanced) == ("body", 552, "5.3.4")
    assert not transport.is_open


def test_a_peer_that_stops_reading_costs_the_block_budget_only():
    def script(talk: Conversation) -> None:
        talk.accept_up_to_data()
        time.sleep(1)

    with scripted(script) as server:
        transport = to(server.port)
        transport.open()
        transport._features.pop("SIZE")
        with pytest.raises(TransientSendError, match="stopped reading") as caught:
            transport.offer(Outgoing(MAIL.envelope_from, MAIL.recipient, b"y" * 30_000_000))

    assert caught.value.phase == "body"


def test_a_reset_while_the_body_is_written_is_transient():
    def script(talk: Conversation) -> None:
        talk.accept_up_to_data()
        talk.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with scripted(script) as server, pytest.raises(TransientSendError) as caught:
        deliver(to(server.port), MAIL, pause_seconds=0.1)

    assert caught.value.phase == "body"


def test_a_connection_closed_for_idleness_is_noticed_before_the_next_mail():
    def script(talk: Conversation) -> None:
        talk.accept_up_to_data()
        talk.hear(b"\r\n.\r\n")
        talk.say(b"250 Ok\r\n")
        time.sleep(0.05)
        talk.say(b"421 4.4.2 Idle\r\n")

    with scripted(script) as server:
        transport = to(server.port)
        transport.open()
        transport.offer(MAIL)
        transport.commit()
        assert eventually(lambda: not transport.reusable)
        transport.close()

    assert not transport.is_open


def test_a_timed_out_dot_is_uncertain_although_the_answer_is_on_its_way():
    def script(talk: Conversation) -> None:
        talk.accept_up_to_data()
        talk.hear(b"\r\n.\r\n")
        time.sleep(0.9)
        talk.say(b"250 Ok\r\n")

    with scripted(script) as server:
        assert fails(UncertainSendError, server.port).phase == "dot"


@pytest.mark.fault("F10")
def test_a_refused_port_is_transient():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    error = fails(TransientSendError, port)

    assert (error.phase, error.code) == ("connect", None)
    assert "refused" in error.text


def test_a_host_that_may_not_be_dialled_is_transient_for_the_mail():
    error = fails(TransientSendError, 25, allow_loopback=False)

    assert error.phase == "connect"
    assert error.text == "127.0.0.1 has no address on the public internet."


def test_server_words_are_one_printable_line_of_bounded_length():
    def script(talk: Conversation) -> None:
        talk.greet()
        talk.hear(b"DATA\r\n")
        talk.say(b"550-5.1.1 \x1b[31mred\xff\r\n550 5.1.1 " + b"y" * 1900 + b"\r\n")

    with scripted(script) as server:
        error = fails(PermanentSendError, server.port)

    assert error.text.isprintable()
    assert len(error.text) == 1000
    assert error.text.startswith("?[31mred\ufffd yyy")
