"""A name server on loopback that plays the DNS of the demo's world: its clients' domains and its recipients'.

Every domain ends in .example, which the real DNS never answers (RFC 6761, 6.5), so nothing here shadows anything. It is
no general server: it knows what is put into it, follows CNAMEs as a recursive one does, and says NXDOMAIN to the rest.

    python -m outreach.demo.zones --port 5300 --target localhost
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import json
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.reversename
import dns.rrset
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from outreach.demo import fleet
from outreach.demo.fleet import SELECTOR
from outreach.demo.server_process import ServerProcess

HOST = "127.0.0.1"
TTL_SECONDS = 60
UDP_BYTES = 1232  # what passes unfragmented nearly everywhere
LARGEST = 65_535
TCP_CONNECTIONS, TCP_QUESTIONS, TCP_SECONDS = 16, 100, 5.0
LONGEST_WAY = 9  # names from CNAME to CNAME
SHARES = {"google": 0.45, "microsoft": 0.35}  # of recipients' domains; the rest has servers of its own
NODE = "node.demo.example"  # the host by which the clients' mail leaves
RECEIVERS = "192.0.2.25"  # where recipients' servers would be (RFC 5737): nobody sends there

GOOGLE = {"aspmx.l.google.com": 1, "alt1.aspmx.l.google.com": 5}  # host: preference
MICROSOFT = "mail.protection.outlook.com"

Types = Mapping[str, Sequence[str]]  # type: values as in a zone file
Records = dict[str, Types]  # by name


# --- what is in the zones ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Client:
    """A sending domain, its organisation's domain, and what its DNS has to name: key, tracking host and its target."""

    domain: str
    organisation: str
    public_key: str
    target: str

    @property
    def tracking_host(self) -> str:
        return tracking_host(self.domain)

    def records(self) -> Records:
        """Everything that the checks of a sending domain look at, in order."""
        return {
            self.domain: {"MX": (f"10 mx.{self.organisation}.",), "TXT": (quoted(f"v=spf1 ip4:{HOST} -all"),)},
            f"{SELECTOR}._domainkey.{self.domain}": {"TXT": (quoted(f"v=DKIM1; k=rsa; p={self.public_key}"),)},
            f"_dmarc.{self.domain}": {"TXT": (quoted(f"v=DMARC1; p=quarantine; rua=mailto:dmarc@{self.domain}"),)},
            self.tracking_host: {"CNAME": (f"{self.target}.",)},
            f"mx.{self.organisation}": {"A": (HOST,)},
            self.organisation: {"MX": (f"10 mx.{self.organisation}.",), "TXT": (quoted("v=spf1 -all"),)},
            f"_dmarc.{self.organisation}": {
                "TXT": (quoted(f"v=DMARC1; p=quarantine; rua=mailto:dmarc@{self.organisation}"),)
            },
        }


def tracking_host(domain: str) -> str:
    """The host of the links in mail of a client's domain."""
    return f"go.{domain}"


def new_key() -> str:
    """The public half of a new key, as DKIM publishes it (RFC 6376, 3.6.1)."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    return base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def quoted(text: str) -> str:
    """A TXT value in strings of at most 255 characters."""
    return " ".join(f'"{text[start : start + 255]}"' for start in range(0, len(text), 255))


def operator_of(domain: str) -> str:
    """Who runs the mail of a recipient's domain: always the same, in the shares of SHARES."""
    place = int.from_bytes(hashlib.sha256(domain.encode()).digest()[:8]) / 2**64
    for operator, share in SHARES.items():
        if place < share:
            return operator
        place -= share
    return "other"


def recipients(name: str) -> Types | None:
    """The MX of a recipient's domain, the address of a host that one names; None: neither."""
    if is_recipients(name):
        operator = operator_of(name)
        if operator == "google":
            return {"MX": tuple(f"{preference} {host}." for host, preference in GOOGLE.items())}
        host = f"{name.replace('.', '-')}.{MICROSOFT}" if operator == "microsoft" else f"mx.{name}"
        return {"MX": (f"10 {host}.",)}
    is_host = name in GOOGLE or name.endswith(f".{MICROSOFT}")
    return {"A": (RECEIVERS,)} if is_host or is_recipients(name.removeprefix("mx.")) else None


def client_zones(domains: Iterable[tuple[str, str]], target: str) -> Records:
    """The zones of (domain, its organisation's domain); the tracking hosts lead to `target`, which is this machine."""
    keys: dict[str, str] = {}
    found: Records = {
        target: {"A": (HOST,)},
        NODE: {"A": (HOST,)},
        dns.reversename.from_address(HOST).to_text(omit_final_dot=True): {"PTR": (f"{NODE}.",)},
    }
    for domain, organisation in domains:
        if organisation not in keys:
            keys[organisation] = new_key()
        found |= Client(domain, organisation, keys[organisation], target).records()
    return found


def demo_domains() -> list[tuple[str, str]]:
    """Every sending domain that the demo may have, whatever its size, with its organisation's."""
    return [
        (f"{pool.name}-{place}.{company.domain}", company.domain)
        for company in fleet.COMPANIES
        for pool in company.pools
        for place in company.places
    ]


def is_recipients(name: str) -> bool:
    """Whether a name is the domain of a company that the demo writes to: two words, directly below .example."""
    labels = name.split(".")
    return len(labels) == 2 and labels[1] == "example" and "-" in labels[0].strip("-")


# --- the server --------------------------------------------------------------------------------------------


class NameServer:
    """Answers over UDP and TCP on one port of loopback, in threads of its own. Use start() and stop(), or `with`.

    `more` is asked about names that `zones` don't have; None: there is no such name.
    """

    def __init__(
        self, zones: Mapping[str, Types], more: Callable[[str], Types | None] = lambda name: None, *, port: int = 0
    ) -> None:
        self._zones = {name.lower(): dict(types) for name, types in zones.items()}
        self._more = more
        self._above = {above for name in self._zones for above in _above(name)}
        self._wanted, self._stopping = port, threading.Event()
        self._room = threading.BoundedSemaphore(TCP_CONNECTIONS)
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.port = 0

    @property
    def address(self) -> tuple[str, int]:
        """Where to ask, once it runs."""
        return HOST, self.port

    def start(self) -> NameServer:
        """Return when it takes questions. Raises OSError when the port is taken."""
        udp, tcp = _one_port(self._wanted)
        self.port = udp.getsockname()[1]
        self._sockets = [udp, tcp]
        self._stopping.clear()
        self._threads = [
            threading.Thread(target=act, args=(each,), name=name, daemon=True)
            for act, each, name in ((self._udp, udp, "names-udp"), (self._tcp, tcp, "names-tcp"))
        ]
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        """No more answers, and the port is free; does nothing when it isn't running."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(5)
        for each in self._sockets:
            each.close()
        self._sockets, self._threads = [], []

    def __enter__(self) -> NameServer:
        return self.start()

    def __exit__(self, *raised: object) -> None:
        self.stop()

    def answer(self, data: bytes, room: int = LARGEST) -> bytes:
        """The reply to one question in wire form; nothing where none is due. Over UDP `room` is what fits at most."""
        try:
            question = dns.message.from_wire(data)
        except dns.exception.DNSException:
            return _unreadable(data)
        if question.flags & dns.flags.QR:
            return b""  # an answer: two servers would talk for ever
        reply = dns.message.make_response(question, recursion_available=True, our_payload=UDP_BYTES)
        if question.opcode() != dns.opcode.QUERY or len(question.question) != 1:
            reply.set_rcode(dns.rcode.NOTIMP)
        else:
            self._fill(reply, question.question[0])
        if room != LARGEST:
            room = min(room, max(question.payload, 512) if question.edns >= 0 else 512)
        return reply.to_wire(max_size=room, prefer_truncation=True)

    def _fill(self, reply: dns.message.Message, asked: dns.rrset.RRset) -> None:
        if asked.rdclass != dns.rdataclass.IN or dns.rdatatype.is_metatype(asked.rdtype):
            reply.set_rcode(dns.rcode.NOTIMP)
            return
        name, kind = asked.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(asked.rdtype)
        for _ in range(LONGEST_WAY):
            types = self._zones.get(name) or self._more(name)
            if types is None:
                if name not in self._above:
                    reply.set_rcode(dns.rcode.NXDOMAIN)
                return
            used = kind if kind in types else "CNAME"
            if used not in types:
                return
            reply.answer.append(dns.rrset.from_text(f"{name}.", TTL_SECONDS, "IN", used, *types[used]))
            if used == kind:
                return
            name = types["CNAME"][0].removesuffix(".").lower()

    def _udp(self, sock: socket.socket) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(OSError):  # TimeoutError: a look whether it shall stop
                data, asker = sock.recvfrom(LARGEST)
                if reply := self.answer(data, UDP_BYTES):
                    sock.sendto(reply, asker)

    def _tcp(self, sock: socket.socket) -> None:
        while not self._stopping.is_set():
            try:
                talk, _ = sock.accept()
            except OSError:
                continue
            if not self._room.acquire(blocking=False):
                talk.close()
                continue
            threading.Thread(target=self._talk, args=(talk,), name="names-talk", daemon=True).start()

    def _talk(self, talk: socket.socket) -> None:
        """One connection: as many questions as TCP_QUESTIONS, none that is waited for longer than TCP_SECONDS."""
        try:
            with talk, contextlib.suppress(OSError, EOFError):
                talk.settimeout(TCP_SECONDS)
                for _ in range(TCP_QUESTIONS):
                    if self._stopping.is_set():
                        return
                    (length,) = struct.unpack("!H", _exactly(talk, 2))
                    reply = self.answer(_exactly(talk, length))
                    if not reply:
                        return
                    talk.sendall(struct.pack("!H", len(reply)) + reply)
        finally:
            self._room.release()


def _one_port(wanted: int) -> tuple[socket.socket, socket.socket]:
    """A socket for UDP and one for TCP on the same port of loopback, which look up from waiting now and then."""
    for _ in range(50):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            udp.bind((HOST, wanted))
            tcp.bind((HOST, udp.getsockname()[1]))
            tcp.listen(TCP_CONNECTIONS)
        except OSError:
            udp.close()
            tcp.close()
            if wanted:
                raise
            continue
        for each in (udp, tcp):
            each.settimeout(0.1)
        return udp, tcp
    raise OSError("no port is free for UDP and TCP")


def _exactly(talk: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        piece = talk.recv(count - len(found))
        if not piece:
            raise EOFError
        found += piece
    return found


def _unreadable(data: bytes) -> bytes:
    """FORMERR for what has at least the head of a question."""
    if len(data) < 12 or data[2] & 0x80:
        return b""
    return data[:2] + bytes([0x80 | (data[2] & 0x79), 0x80 | dns.rcode.FORMERR]) + bytes(8)


def _above(name: str) -> Iterator[str]:
    """The names over a name, which exist because it does (RFC 8020)."""
    while "." in name:
        name = name.partition(".")[2]
        yield name


# --- the demo ----------------------------------------------------------------------------------------------


def of_demo(target: str, *, port: int = 0) -> NameServer:
    """The name server of the whole demo, not started; tracking hosts lead to `target`, the host of PUBLIC_URL."""
    return NameServer(client_zones(demo_domains(), target), recipients, port=port)


def process(target: str, *, port: int = 0) -> ServerProcess:
    """The same in a process of its own, not started: for a parent that forks. Ask it at (host, port) once it runs."""
    return ServerProcess("outreach.demo.zones", target=target, port=port)


def main(arguments: Sequence[str]) -> None:
    """Answer until SIGTERM or SIGINT, or until `--parent` is gone; `--announce` names a file that says where."""
    parser = argparse.ArgumentParser(description="The demo's DNS.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--target", default="localhost", help="what the tracking hosts lead to")
    parser.add_argument("--announce", default="")
    parser.add_argument("--parent", type=int, default=0)
    options = parser.parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with of_demo(options.target, port=options.port) as server:
        if options.announce:
            fresh = Path(f"{options.announce}.{os.getpid()}")
            fresh.write_text(json.dumps({"host": HOST, "port": server.port, "pid": os.getpid()}))
            fresh.replace(options.announce)
        while not stop.wait(0.5):
            if options.parent and os.getppid() != options.parent:
                return


if __name__ == "__main__":
    main(sys.argv[1:])
