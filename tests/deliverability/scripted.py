"""A resolver without a socket, whose answers hypothesis draws."""

from __future__ import annotations

from collections.abc import Sequence

from deliverability.dns.resolver import Answer, Kind, Resolver, Status


class Scripted(Resolver):
    """Gives every name the same records, and the statuses in turn."""

    def __init__(self, texts: Sequence[str], statuses: Sequence[Status], hosts: Sequence[str] = ("host.example.com",)):
        super().__init__([("127.0.0.1", 9)])
        self.statuses = statuses
        self.records: dict[Kind, tuple[str, ...]] = {
            "TXT": tuple(texts),
            "MX": tuple(f"{number} {host}" for number, host in enumerate(hosts)),
            "A": ("192.0.2.1",),
            "AAAA": ("2001:db8::1",),
            "CNAME": tuple(hosts[:1]),
            "PTR": tuple(hosts),
        }

    def _resolve(self, name: str, kind: Kind) -> Answer:
        status = self.statuses[len(self._known) % len(self.statuses)]
        if status != "records" or not self.records[kind]:
            return Answer(name, kind, "no_data" if status == "records" else status)
        return Answer(name, kind, "records", self.records[kind], name)
