"""A DNS server on loopback, UDP and TCP on one port, that says what a test puts into its zone."""

from __future__ import annotations

import socketserver
import struct
import threading
from collections import Counter
from typing import Any

import dnslib
from dnslib import QTYPE, RCODE, RR, DNSRecord

SERVFAIL, REFUSED, NOTIMP, TIMEOUT, GARBAGE = WORDS = ("SERVFAIL", "REFUSED", "NOTIMP", "TIMEOUT", "GARBAGE")
UDP_BYTES = 1232


class NameServer:
    """Names that are not in the zone give NXDOMAIN; types that a name does not have give no data."""

    def __init__(self) -> None:
        self.zone: dict[str, dict[str, list[Any]]] = {}
        self.asked: Counter[tuple[str, str, str]] = Counter()  # protocol, name, type
        answer = self.answer

        class Udp(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                data, sock = self.request
                if reply := answer(data, "udp"):
                    sock.sendto(reply, self.client_address)

        class Tcp(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                (length,) = struct.unpack("!H", self.rfile.read(2))
                if reply := answer(self.rfile.read(length), "tcp"):
                    self.wfile.write(struct.pack("!H", len(reply)) + reply)

        self._udp, self._tcp = one_port(Udp, Tcp)
        self.port = self._udp.server_address[1]
        self._tcp.daemon_threads = self._udp.daemon_threads = True

    def put(self, name: str, kind: str, *records: Any) -> None:
        """Set the records: a text, bytes or a list of strings for TXT, (preference, host) for MX, else a name or an
        address. One of the words above makes the question fail that way."""
        self.zone.setdefault(name.lower(), {})[kind] = list(records)

    def start(self) -> None:
        for server in (self._udp, self._tcp):
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        for server in (self._udp, self._tcp):
            server.shutdown()
            server.server_close()

    def answer(self, data: bytes, protocol: str) -> bytes:
        """The reply in wire form, nothing for silence."""
        request = DNSRecord.parse(data)
        name = str(request.q.qname).rstrip(".").lower()
        kind = QTYPE[request.q.qtype]
        self.asked[protocol, name, kind] += 1
        reply = request.reply()
        word = self._fill(reply, name, kind)
        if word == TIMEOUT:
            return b""
        if word == GARBAGE:
            return data[:2] + b"\x81\x80" + b"\xff" * 10
        if word:
            reply.header.rcode = getattr(RCODE, word)
        packed = reply.pack()
        return bytes(reply.truncate().pack() if protocol == "udp" and len(packed) > UDP_BYTES else packed)

    def _fill(self, reply: DNSRecord, name: str, kind: str) -> str:
        for _ in range(12):  # as a recursive server does, and one that follows a circle for a while
            records = self.zone.get(name)
            if records is None:
                return "NXDOMAIN"
            found = records.get(kind) or records.get("CNAME") or []
            if found and found[0] in WORDS:
                return str(found[0])
            used = kind if records.get(kind) else "CNAME"
            for record in found:
                reply.add_answer(RR(name, getattr(QTYPE, used), rdata=rdata(used, record), ttl=60))
            if used == kind or not found:
                return ""
            name = str(found[0]).lower()
        return ""


def one_port(
    udp: type[socketserver.BaseRequestHandler], tcp: type[socketserver.BaseRequestHandler]
) -> tuple[socketserver.ThreadingUDPServer, socketserver.ThreadingTCPServer]:
    """Both servers on a port that is free for both."""
    for _ in range(50):
        first = socketserver.ThreadingUDPServer(("127.0.0.1", 0), udp)
        try:
            return first, socketserver.ThreadingTCPServer(("127.0.0.1", first.server_address[1]), tcp)
        except OSError:
            first.server_close()
    raise OSError("no port is free for UDP and TCP")


def rdata(kind: str, record: Any) -> dnslib.RD:
    if kind == "TXT":
        if isinstance(record, list):
            return dnslib.TXT(record)
        whole = record.encode() if isinstance(record, str) else record
        return dnslib.TXT([whole[start : start + 255] for start in range(0, len(whole), 255)] or [b""])
    if kind == "MX":
        return dnslib.MX(record[1], record[0])
    return getattr(dnslib, kind)(record)
