"""What every transport promises, asked of all of them."""

from __future__ import annotations

import hashlib
import ssl
import time
from collections.abc import Iterator
from typing import Any

import pytest

from mailboxes.transports.base import (
    Outgoing,
    PermanentSendError,
    SendError,
    TransientSendError,
    UncertainSendError,
)
from tests.faults.sink import FaultSink
from tests.mailboxes.peers import MemoryPeer, SmtpPeer, deliver, eventually, make_authority

CONTENT = b"Message-ID: <one@example.com>\r\nSubject: Dots\r\n\r\n.hidden\r\n..\r\n.\r\nend\r\n"
MAIL = Outgoing("anna@sender.example", "bob@world.example", CONTENT)
WRITTEN = (MAIL.envelope_from, MAIL.recipient, hashlib.sha256(CONTENT).hexdigest())

KINDS = {
    "memory": {},
    "smtp": {},
    "smtp-lockstep": {"no_pipelining": True},
    "smtp-starttls": {"security": "starttls"},
    "smtp-tls": {"security": "tls"},
}


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    return make_authority(tmp_path_factory.mktemp("authority"), "127.0.0.1", "localhost")


@pytest.fixture(scope="session", params=KINDS)
def running(request: Any, tmp_path_factory: pytest.TempPathFactory, authority: Any) -> Iterator[Any]:
    if request.param == "memory":
        yield None
        return
    options = KINDS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    if "security" in options:
        options = options | {"certificate": authority[1]}
    with FaultSink(folder / "book", **options) as sink:
        yield sink


@pytest.fixture
def peer(running: Any, request: Any, authority: Any) -> Any:
    if running is None:
        return MemoryPeer()
    options = KINDS[request.node.callspec.params["running"]]
    context = ssl.create_default_context(cafile=authority[0]) if "security" in options else None
    return SmtpPeer(running, options.get("security", "none"), context)


@pytest.fixture
def transport(peer: Any) -> Iterator[Any]:
    transport = peer.transport()
    transport.open()
    yield transport
    transport.close()


def send(transport: Any, mail: Outgoing = MAIL) -> Any:
    transport.offer(mail)
    return transport.commit()


def test_a_mail_arrives_once_and_unchanged(peer, transport):
    receipt = send(transport)

    assert peer.has() == [WRITTEN]
    assert receipt.text.startswith("2.0.0 Ok")
    assert transport.reusable


def test_an_offered_mail_is_with_nobody_before_commit(peer, transport):
    transport.offer(MAIL)
    time.sleep(0.05)

    assert peer.has() == []
    assert not transport.reusable
    transport.commit()
    assert peer.has() == [WRITTEN]


def test_one_connection_serves_many_mails(peer, transport):
    for number in range(5):
        send(transport, Outgoing("anna@sender.example", f"bob{number}@world.example", CONTENT))

    assert [recipient for _, recipient, _ in peer.has()] == [f"bob{n}@world.example" for n in range(5)]
    assert peer.sessions() == 1


@pytest.mark.parametrize("phase", ["mail", "rcpt", "data", "dot"])
@pytest.mark.parametrize(
    ("answer", "kind", "code", "enhanced", "text"),
    [
        ("451 4.3.0 Try later", TransientSendError, 451, "4.3.0", "Try later"),
        ("450 Busy", TransientSendError, 450, None, "Busy"),
        ("550 5.1.1 No such user", PermanentSendError, 550, "5.1.1", "No such user"),
        ("421 4.7.28 Slow down.", TransientSendError, 421, "4.7.28", "Slow down."),
        ("421 5.7.32 Odd", TransientSendError, 421, "5.7.32", "Odd"),
    ],
)
def test_an_answer_is_told_with_phase_class_and_words(peer, transport, phase, answer, kind, code, enhanced, text):
    peer.answer(phase, answer)

    with pytest.raises(SendError) as caught:
        send(transport)

    error = caught.value
    assert (type(error), error.phase, error.code) == (kind, phase, code)
    assert (error.enhanced, error.text) == (enhanced, text)
    assert peer.has() == []
    assert transport.is_open == transport.reusable == (code != 421)


@pytest.mark.parametrize("phase", ["mail", "rcpt", "data", "dot"])
@pytest.mark.parametrize("answer", ["450 4.2.0 Later", "550 5.1.1 Never"])
def test_after_a_refusal_the_next_mail_goes_over_the_same_connection(peer, transport, phase, answer):
    peer.answer(phase, answer)
    with pytest.raises(SendError):
        send(transport)
    peer.calm()

    send(transport)

    assert peer.has() == [WRITTEN]


@pytest.mark.parametrize("phase", ["greeting", "ehlo", "auth"])
@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [("454 4.7.0 Later", TransientSendError, 454), ("535 5.7.8 Wrong", PermanentSendError, 535)],
)
def test_a_refusal_while_opening_leaves_it_closed(peer, phase, answer, kind, code):
    transport = peer.transport()
    peer.answer(phase, answer)

    with pytest.raises(SendError) as caught:
        transport.open()

    assert (type(caught.value), caught.value.phase, caught.value.code) == (kind, phase, code)
    assert not transport.is_open
    with pytest.raises(TransientSendError):
        transport.offer(MAIL)
    peer.calm()
    transport.open()
    send(transport)
    assert peer.has() == [WRITTEN]


@pytest.mark.parametrize("phase", ["greeting", "ehlo", "auth", "mail", "rcpt", "data", "body"])
def test_a_drop_before_the_dot_is_transient(peer, phase):
    transport = peer.transport()
    peer.hang_up(phase)

    with pytest.raises(TransientSendError) as caught:
        # Without the pause a hang-up that is on its way when the dot leaves makes the mail uncertain.
        deliver(transport, MAIL, pause_seconds=0.2)

    error = caught.value
    assert (error.phase, error.code, error.enhanced) == (phase, None, None)
    assert not transport.is_open
    assert peer.has() == []


@pytest.mark.fault("F05")
@pytest.mark.parametrize("keep", [True, False])
def test_a_drop_after_the_dot_is_uncertain_whatever_the_peer_kept(peer, transport, keep):
    peer.hang_up("dot", keep=keep)

    with pytest.raises(UncertainSendError) as caught:
        send(transport)

    assert (caught.value.phase, caught.value.code) == ("dot", None)
    assert peer.has() == ([WRITTEN] if keep else [])
    assert not transport.is_open


@pytest.mark.fault("F08")
def test_a_refusal_in_the_middle_of_data_ends_the_mail_without_a_hang(peer, transport):
    peer.answer("body", "550 5.7.1 Spam")
    started = time.monotonic()

    with pytest.raises(PermanentSendError) as caught:
        deliver(transport, MAIL, pause_seconds=0.2)

    assert (caught.value.phase, caught.value.code, caught.value.enhanced) == ("body", 550, "5.7.1")
    assert time.monotonic() - started < 3
    assert not transport.is_open
    assert peer.has() == []


@pytest.mark.fault("F16")
@pytest.mark.parametrize("end", ["abort", "close"])
def test_abort_and_close_inside_data_leave_nothing(peer, transport, end):
    transport.offer(MAIL)

    getattr(transport, end)()

    assert eventually(lambda: peer.aborts() == 1)
    assert peer.has() == []
    assert not transport.is_open
    transport.open()
    send(transport)
    assert peer.has() == [WRITTEN]


@pytest.mark.fault("F16")
def test_abort_between_commands_keeps_the_connection(peer, transport):
    transport.abort()
    send(transport)
    peer.answer("rcpt", "450 4.2.0 Later")
    with pytest.raises(TransientSendError):
        transport.offer(MAIL)
    peer.calm()

    transport.abort()

    assert transport.reusable
    send(transport)
    assert peer.has() == [WRITTEN, WRITTEN]
    assert peer.sessions() == 1


def test_a_second_offer_needs_an_end_of_the_first(transport):
    transport.offer(MAIL)

    with pytest.raises(RuntimeError):
        transport.offer(MAIL)


def test_commit_without_an_offer_reaches_nobody(peer, transport):
    with pytest.raises(TransientSendError):
        transport.commit()

    assert peer.has() == []


def test_open_and_close_may_be_called_twice(peer, transport):
    transport.open()
    send(transport)
    transport.close()
    transport.close()

    assert not transport.is_open
    assert peer.has() == [WRITTEN]


@pytest.mark.attack("A04")
@pytest.mark.parametrize(
    "address",
    [
        "a@b.c\r\nRCPT TO:<x@y.example>",
        "a@b.c>\r\nDATA",
        "<a@b.c> SIZE=1",
        "a@b.c SIZE=1",
        "a@b.c\nx",
        "a@b.c\x00",
        "a@b.c\u2028",
        "a\ud800@b.c",
        "nobody",
        "@b.c",
        "a@",
        "",
    ],
)
def test_an_address_that_is_more_than_an_address_is_refused_before_a_byte_leaves(peer, transport, address):
    for mail in (
        Outgoing("anna@sender.example", address, CONTENT),
        Outgoing(address, "bob@world.example", CONTENT),
    ):
        if mail.envelope_from == "":
            continue  # the null sender is an address of its own
        with pytest.raises(PermanentSendError) as caught:
            transport.offer(mail)
        assert caught.value.code is None
        assert caught.value.enhanced in ("5.1.3", "5.1.7")
        assert caught.value.text.isprintable()

    assert transport.reusable
    send(transport)
    assert peer.has() == [WRITTEN]
    assert peer.sessions() == 1
