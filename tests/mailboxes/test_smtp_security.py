"""TLS, signing in, and what is never said in clear."""

from __future__ import annotations

import base64
import quopri
import socket
import ssl
import urllib.parse

import pytest

from mailboxes.transports import answers
from mailboxes.transports.base import (
    PermanentSendError,
    SendError,
    TransientSendError,
)
from mailboxes.transports.smtp import Login, SmtpTransport
from outreach.common.errors import BadInput
from tests.faults.sink import FaultSink
from tests.mailboxes.peers import SmtpPeer, deliver, eventually, make_authority
from tests.mailboxes.scripted import MAIL, SHORT, Conversation, fails, scripted, to


@pytest.mark.attack("A09", "A42")
def test_a_stripped_starttls_ends_before_the_password_is_said():
    def script(talk: Conversation) -> None:
        talk.greet(b"250-evil.example\r\n250 AUTH PLAIN LOGIN\r\n")
        talk.listen()

    with scripted(script) as server:
        error = fails(TransientSendError, server.port, security="starttls", username="anna", password="secret")

    assert error.phase == "starttls"
    assert server.talks[0].heard == b"EHLO me.example\r\n"


@pytest.mark.attack("A09")
def test_what_was_said_in_clear_before_the_handshake_counts_for_nothing(tmp_path):
    authority, chain = make_authority(tmp_path, "127.0.0.1")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain)
    lines: list[bytes] = []

    def script(talk: Conversation) -> None:
        talk.greet(b"250-evil.example\r\n250 STARTTLS\r\n")
        talk.hear(b"STARTTLS\r\n")
        # The injected answers to EHLO and AUTH must not be believed.
        talk.say(b"220 Go\r\n250-evil.example\r\n250 AUTH PLAIN\r\n235 Welcome\r\n")
        with context.wrap_socket(talk.sock, server_side=True) as secure, secure.makefile("rwb") as stream:
            lines.append(stream.readline())
            stream.write(b"250-good.example\r\n250 AUTH LOGIN\r\n")
            stream.flush()
            lines.append(stream.readline())
            stream.write(b"535 5.7.8 No\r\n")
            stream.flush()

    with scripted(script) as server:
        door = Login("127.0.0.1", server.port, "starttls", "anna", "secret", "me.example", True)
        transport = SmtpTransport(door, SHORT, context=ssl.create_default_context(cafile=authority))
        with pytest.raises(SendError) as caught:
            transport.open()

    assert (caught.value.phase, caught.value.code) == ("auth", 535)
    assert lines == [b"EHLO me.example\r\n", b"AUTH LOGIN\r\n"]


@pytest.mark.parametrize(("security", "phase"), [("tls", "connect"), ("starttls", "starttls")])
@pytest.mark.parametrize("names", [("127.0.0.2",), ("127.0.0.1",)])
def test_a_certificate_of_another_name_or_authority_is_refused(tmp_path, security, phase, names):
    _, chain = make_authority(tmp_path, *names)
    other = tmp_path / "other"
    other.mkdir()
    strangers, _ = make_authority(other, "127.0.0.1")
    trusted = tmp_path / "authority.pem" if names == ("127.0.0.2",) else strangers
    with FaultSink(tmp_path / "book", security=security, certificate=chain) as sink:
        peer = SmtpPeer(sink, security, ssl.create_default_context(cafile=trusted))
        transport = peer.transport()
        with pytest.raises(TransientSendError, match="certificate is not trusted") as caught:
            transport.open()

    assert caught.value.phase == phase
    assert not transport.is_open


@pytest.mark.attack("A42")
def test_without_tls_only_loopback_is_spoken_to():
    here, there = socket.socketpair()
    transport = SmtpTransport(
        Login("mail.example", 25, "none", "anna", "secret", "me.example", True),
        SHORT,
        dial=lambda *a, **k: here,
    )

    with there, pytest.raises(TransientSendError, match="only go to loopback"):
        transport.open()

    assert here.fileno() == -1


def test_auth_login_serves_where_plain_is_missing():
    def script(talk: Conversation) -> None:
        talk.greet(b"250-old.example\r\n250 AUTH=LOGIN\r\n")
        for answer in (b"334 VXNlcm5hbWU6\r\n", b"334 UGFzc3dvcmQ6\r\n", b"235 Ok\r\n"):
            talk.hear(b"\r\n")
            talk.say(answer)
        talk.listen()

    with scripted(script) as server:
        transport = to(server.port, username="änna", password="geheim")
        transport.open()
        transport.close()
        heard = eventually(lambda: b"QUIT" in server.talks[0].heard and server.talks[0].heard)

    assert heard.split(b"\r\n")[1:4] == [b"AUTH LOGIN", base64.b64encode("änna".encode()), b"Z2VoZWlt"]


def test_a_password_is_in_no_text():
    door = Login("mail.example", 587, "starttls", "anna", "secret-canary", "me.example")

    assert "secret-canary" not in repr(door)


@pytest.mark.parametrize("name", ["", "me example", "me\r\nMAIL FROM:<x@y>", "mé"])
def test_an_ehlo_name_is_a_name(name):
    with pytest.raises(BadInput):
        to(25, ehlo_name=name)


# --- A server that says the password back ---------------------------------------------------------------------

ECHOED = "Wörd & Pass=1+/"


def echoes(password: str = ECHOED) -> dict[str, bytes]:
    plain = password.encode()
    return {
        "as it is": plain,
        "PLAIN": base64.b64encode(b"\0anna\0" + plain),
        "LOGIN": base64.b64encode(plain),
        "within more": base64.b64encode(b"(" + plain + b")"),
        "in a URL": urllib.parse.quote(password, safe="").encode(),
        "hex": plain.hex().encode(),
        "HEX": plain.hex().upper().encode(),
        "quoted-printable": quopri.encodestring(plain),
        "backwards": plain[::-1],
    }


@pytest.mark.attack("A34")
@pytest.mark.parametrize("spelling", list(echoes()))
def test_a_password_said_back_is_cut_out_of_a_refused_sign_in(spelling):
    echo = echoes()[spelling]

    def script(talk: Conversation) -> None:
        talk.greet(b"250-evil.example\r\n250 AUTH PLAIN\r\n")
        talk.hear(b"\r\n")
        talk.say(b"535-5.7.8 No entry with\r\n535 5.7.8 " + echo + b" for anna\r\n")

    with scripted(script) as server:
        error = fails(PermanentSendError, server.port, username="anna", password=ECHOED)

    assert (error.phase, error.code, error.enhanced) == ("auth", 535, "5.7.8")
    assert error.text == "No entry with [hidden] for anna"


@pytest.mark.attack("A34")
@pytest.mark.parametrize("answer", [b"250 2.0.0 Ok %b", b"451 4.3.0 %b", b"554 5.7.1 %b", b"354 %b"])
def test_a_password_said_back_later_is_cut_out_as_well(answer):
    def script(talk: Conversation) -> None:
        talk.greet(b"250-evil.example\r\n250 AUTH PLAIN\r\n")
        talk.hear(b"\r\n")
        talk.say(b"235 Welcome\r\n")
        for word in (b"250 Ok", b"250 Ok", b"354 Go"):
            talk.hear(b"\r\n")
            talk.say(word + b"\r\n")
        talk.hear(b"\r\n.\r\n")
        talk.say(answer % ECHOED.encode() + b"\r\n")
        talk.listen()

    with scripted(script) as server:
        transport = to(server.port, username="anna", password=ECHOED)
        try:
            said = deliver(transport, MAIL).text
        except SendError as error:
            said = str(error) + repr(error)
        transport.close()

    assert "[hidden]" in said
    assert ECHOED not in said


def test_of_a_very_short_password_answers_stay_as_they_are():
    assert answers.without(b"no abc here", answers.spellings("anna", "abc")) == b"no abc here"
