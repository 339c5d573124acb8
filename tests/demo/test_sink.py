"""The demo's sink: it decides by address, and its book is what a client was promised."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from mailboxes.transports.base import Outgoing, PermanentSendError, SendError, TransientSendError
from mailboxes.transports.smtp import Login, SmtpTransport
from outreach.demo.sink import Book, fate
from outreach.demo.sink_process import SinkProcess
from tests.mailboxes.peers import QUICK, deliver, eventually

ADDRESSES = [f"person{number}@world.example" for number in range(4000)]


def to(sink: SinkProcess, sign_in: tuple[str, str] = ("anna", "secret")) -> SmtpTransport:
    return SmtpTransport(Login(sink.host, sink.port, "none", *sign_in, "me.example", True), QUICK)


def outcome(transport: SmtpTransport, recipient: str) -> tuple[Any, ...]:
    """What a mail to this recipient ends with: nothing, or phase and codes."""
    try:
        deliver(transport, mail(recipient))
    except SendError as error:
        return error.phase, error.code, error.enhanced
    return ()


def mail(recipient: str) -> Outgoing:
    content = f"From: a@b.example\r\nMessage-ID: <{recipient}>\r\nSubject: x\r\n\r\nMessage-ID: no\r\n"
    return Outgoing("anna@sender.example", recipient, content.encode())


def test_fates_have_their_shares_and_never_change():
    fates = [fate(address, "seed", 0.05, 0.10) for address in ADDRESSES]

    assert fates == [fate(address.upper(), "seed", 0.05, 0.10) for address in ADDRESSES]
    assert fates != [fate(address, "other", 0.05, 0.10) for address in ADDRESSES]
    assert fates.count("refuse") / len(fates) == pytest.approx(0.05, abs=0.015)
    assert fates.count("defer") / len(fates) == pytest.approx(0.10, abs=0.02)


def test_the_sink_takes_defers_once_and_refuses_as_decided(tmp_path):
    addresses = ADDRESSES[:60]
    decided = {address: fate(address, "world", 0.2, 0.3) for address in addresses}
    with SinkProcess(tmp_path / "book", refuse_share=0.2, defer_share=0.3) as sink:
        transport = to(sink)
        first = {address: outcome(transport, address) for address in addresses}
        second = {address: outcome(transport, address) for address in addresses}
        transport.close()
        book = sink.read_book()

    refused, deferred = ("rcpt", 550, "5.1.1"), ("rcpt", 450, "4.2.0")
    assert first == {a: {"accept": (), "defer": deferred, "refuse": refused}[decided[a]] for a in addresses}
    assert second == {a: refused if decided[a] == "refuse" else () for a in addresses}
    taken = [entry.recipient for entry in book.accepted]
    for address in addresses:
        assert taken.count(address) == {"accept": 2, "defer": 1, "refuse": 0}[decided[address]]
    assert {entry.recipient for entry in book.deferred} == {a for a in addresses if decided[a] == "defer"}
    assert {entry.recipient for entry in book.refused} == {a for a in addresses if decided[a] == "refuse"}


def test_the_book_tells_who_sent_what(tmp_path):
    with SinkProcess(tmp_path / "book") as sink:
        transport = to(sink)
        receipt = deliver(transport, mail("bob@world.example"))
        transport.close()
        book = sink.read_book()

    (entry,) = book.accepted
    assert (entry.mail_from, entry.recipient, entry.user) == (
        "anna@sender.example",
        "bob@world.example",
        "anna",
    )
    assert entry.message_id == "<bob@world.example>"
    assert re.fullmatch(r"[0-9a-f]{64}", entry.sha256)
    assert receipt.provider_id in entry.answer
    assert book.copies() == {"<bob@world.example>": 1}


def test_only_the_given_users_sign_in(tmp_path):
    users = tmp_path / "users.json"
    users.write_text(json.dumps({"anna": "secret"}))
    with SinkProcess(tmp_path / "book", users=users, require_auth=True) as sink:
        with pytest.raises(PermanentSendError) as caught:
            to(sink, ("anna", "wrong")).open()
        with pytest.raises(PermanentSendError):
            to(sink, ("otto", "secret")).open()
        deliver(to(sink), mail("bob@world.example"))

    assert (caught.value.phase, caught.value.code) == ("auth", 535)


def test_a_stop_and_a_new_start_go_on_at_the_same_port_and_in_the_same_book(tmp_path):
    sink = SinkProcess(tmp_path / "book").start()
    port = sink.port
    deliver(to(sink), mail("one@world.example"))
    sink.kill()
    with pytest.raises(TransientSendError):
        to(sink).open()

    with sink:
        assert sink.port == port
        deliver(to(sink), mail("two@world.example"))

    assert [entry.recipient for entry in sink.read_book().accepted] == [
        "one@world.example",
        "two@world.example",
    ]


def test_a_line_cut_by_a_kill_is_left_out(tmp_path):
    with SinkProcess(tmp_path / "book") as sink:
        deliver(to(sink), mail("one@world.example"))
    with (tmp_path / "book").open("a") as book:
        book.write('{"kind": "accepted", "at": 1')

    assert len(Book.read(tmp_path / "book").accepted) == 1
    assert Book.read(tmp_path / "missing") == Book()


def test_a_hang_up_inside_data_is_put_down_as_an_abort(tmp_path):
    with SinkProcess(tmp_path / "book") as sink:
        transport = to(sink)
        transport.open()
        transport.offer(mail("one@world.example"))
        transport.abort()
        assert eventually(lambda: [e.recipient for e in sink.read_book().aborted] == ["one@world.example"])

    assert sink.read_book().accepted == []


def test_a_paused_sink_answers_when_it_goes_on(tmp_path):
    with SinkProcess(tmp_path / "book") as sink:
        transport = to(sink)
        transport.open()
        sink.pause()
        transport._wire.send(b"NOOP\r\n", 1)
        assert not eventually(transport._wire.spoke, 0.2)
        sink.resume()
        assert eventually(transport._wire.spoke)
