"""Tenants name hosts; only public ones are dialled, and what was judged is what is dialled."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

import pytest

from outreach.common import connect
from outreach.common.errors import BadInput, Unavailable

PUBLIC = "198.41.0.4"  # a root name server; never contacted here


def answering(*addresses: str) -> Any:
    """A resolver with these answers, which remembers how often it was asked."""

    def resolve(host: str, port: int, **_options: Any) -> list[tuple[Any, ...]]:
        resolve.asked.append(host)
        kinds = [(socket.AF_INET6 if ":" in address else socket.AF_INET) for address in addresses]
        return [
            (kind, socket.SOCK_STREAM, 6, "", (address, port, *((0, 0) if kind == socket.AF_INET6 else ())))
            for kind, address in zip(kinds, addresses, strict=True)
        ]

    resolve.asked = []
    return resolve


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What would have been connected to."""
    calls: list[Any] = []

    class Recorder:
        def __init__(self, *_args: Any) -> None: ...
        def setsockopt(self, *_args: Any) -> None: ...
        def settimeout(self, *_args: Any) -> None: ...
        def close(self) -> None: ...
        def connect(self, address: Any) -> None:
            calls.append(address)

    monkeypatch.setattr(socket, "socket", Recorder)
    return calls


@pytest.mark.attack("A06")
@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "0x7f000001",
        "2130706433",
        "017700000001",
        "[::1]",
        "::1",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
        "100.64.0.1",
        "169.254.169.254",
        "10.0.0.8",
        "172.16.3.1",
        "192.168.1.1",
        "198.18.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "0.0.0.0",  # noqa: S104
        "0",
        "::",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "localhost",
        "localhost.",
        "LOCALHOST",
    ],
)
def test_an_address_that_is_not_public_is_refused_at_save_and_at_dial(host, dialled):
    for attempt in (connect.check_host, connect.dial):
        arguments = (host, 587) if attempt is connect.check_host else (host, 587, 1)
        with pytest.raises(BadInput, match="no address on the public internet"):
            attempt(*arguments)

    assert dialled == []


@pytest.mark.parametrize(
    "address", [PUBLIC, "2001:500:9f::42", "2a00:1450:4001::1a", "64:ff9b::c629:4", "::ffff:198.41.0.4"]
)
def test_a_public_address_is_dialled(address, dialled):
    connect.dial("mail.example", 587, 1, resolve=answering(address))

    assert [target[:2] for target in dialled] == [(address, 587)]


@pytest.mark.attack("A07")
@pytest.mark.parametrize("private", ["10.0.0.8", "127.0.0.1", "fd00::1", "64:ff9b::a00:8"])
def test_one_private_answer_refuses_all(private, dialled):
    for answers in ((PUBLIC, private), (private, PUBLIC)):
        with pytest.raises(BadInput):
            connect.dial("mail.example", 587, 1, resolve=answering(*answers))

    assert dialled == []


@pytest.mark.attack("A07")
def test_a_name_is_looked_up_once_and_the_judged_address_is_dialled(dialled):
    resolve = answering(PUBLIC)

    connect.dial("rebinding.example", 465, 1, resolve=resolve)

    assert resolve.asked == ["rebinding.example"]
    assert dialled == [(PUBLIC, 465)]


@pytest.mark.attack("A08")
@pytest.mark.parametrize("port", [22, 80, 143, 3306, 5432, 6379, 11211, 0, -1, 65536])
def test_only_mail_ports_are_dialled(port, dialled):
    with pytest.raises(BadInput, match=r"[Pp]ort"):
        connect.dial("mail.example", port, 1, resolve=answering(PUBLIC))
    with pytest.raises(BadInput, match=r"[Pp]ort"):
        connect.check_host("mail.example", port, resolve=answering(PUBLIC))

    assert dialled == []


def test_the_ports_are_the_callers_choice(dialled):
    connect.dial("mail.example", 993, 1, ports=[993], resolve=answering(PUBLIC))

    assert dialled == [(PUBLIC, 993)]


@pytest.mark.attack("A06", "A08")
def test_open_closed_and_unknown_give_the_same_text():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        ports = [taken, 25]
        texts = set()
        for port in ports:
            with pytest.raises(BadInput) as caught:
                connect.dial("127.0.0.1", port, 1, ports=ports)
            texts.add(str(caught.value))
    assert len(texts) == 1

    def unknown(*_args: Any, **_options: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    for resolve in (unknown, answering("10.0.0.8"), answering()):
        with pytest.raises(BadInput) as caught:
            connect.dial("db.internal", 25, 1, resolve=resolve)
        texts.add(str(caught.value).replace("db.internal", "127.0.0.1"))
    assert len(texts) == 1


@pytest.mark.attack("A08")
@pytest.mark.parametrize(
    "host",
    [
        "",
        "mail example",
        "mail.example\r\nx",
        "redis://mail.example",
        "gopher://x",
        "user@mail.example",
        "mail.example/x",
        "fe80::1%eth0",
        "mail.example:25",
        "\u217f.example",
        "x" * 254,
    ],
)
def test_a_host_is_a_name_and_nothing_else(host, dialled):
    with pytest.raises(BadInput):
        connect.dial(host, 587, 1, resolve=answering(PUBLIC))

    assert dialled == []


def test_a_look_up_that_fails_for_the_moment_is_no_verdict():
    def busy(*_args: Any, **_options: Any) -> Any:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    with pytest.raises(Unavailable, match="at the moment"):
        connect.check_host("mail.example", 587, resolve=busy)


def test_a_label_that_is_too_long_is_no_address():
    with pytest.raises(BadInput):
        connect.check_host("x" * 70 + ".example", 587)


def test_loopback_is_reached_on_any_port_where_it_is_allowed():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        connect.check_host("127.0.0.1", port, allow_loopback=True)
        with contextlib.closing(connect.dial("localhost", port, 2, allow_loopback=True)) as sock:
            assert sock.getpeername() == ("127.0.0.1", port)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.gettimeout() == 2


def test_allowing_loopback_opens_neither_private_addresses_nor_other_ports(dialled):
    for host_answers in (["10.0.0.8"], ["127.0.0.1", "10.0.0.8"], ["0.0.0.1"], ["169.254.169.254"]):
        with pytest.raises(BadInput):
            connect.dial("mail.example", 25, 1, allow_loopback=True, resolve=answering(*host_answers))
    with pytest.raises(BadInput, match="Port 6379"):
        connect.dial("mail.example", 6379, 1, allow_loopback=True, resolve=answering("127.0.0.1", PUBLIC))

    assert dialled == []


def test_the_next_address_is_tried_within_the_same_seconds_and_gets_its_share(monkeypatch):
    tried = []

    def refuse(family: int, address: Any, share: float, timeout: float) -> Any:
        tried.append((address[0], round(share, 1)))
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(connect, "_open", refuse)
    with pytest.raises(Unavailable, match="mail.example port 587 can't be reached: connection refused"):
        connect.dial("mail.example", 587, 1, resolve=answering("2001:500:9f::42", PUBLIC))

    assert tried == [("2001:500:9f::42", 0.5), (PUBLIC, 1.0)]
