"""check_domain NAME: what DNS says about a domain, without a row of it."""

from __future__ import annotations

import ipaddress
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from deliverability.dns import checks
from deliverability.dns.findings import Finding, Level, worst
from deliverability.dns.resolver import Resolver
from outreach.common import addresses
from outreach.common.errors import BadInput

EXIT: dict[Level, int] = {"fail": 2, "unknown": 3}


class Command(BaseCommand):
    help = (
        "Check MX, SPF, DKIM and DMARC of a domain. Needs no database. Exit 0 if nothing fails, 2 if something does, "
        "3 if nothing fails but something could not be found out."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME", help="the domain of From addresses")
        parser.add_argument("--nameserver", metavar="HOST:PORT", help="ask this server, an IP address, and no other")
        parser.add_argument("--selector", nargs="+", action="extend", default=[], metavar="S", help="a DKIM selector")
        parser.add_argument("--ip", action="append", default=[], metavar="IP", help="mail leaves by this address")
        parser.add_argument(
            "--way-out", action="append", default=[], metavar="WAY", help="SPF has to cover it: an IP or include:NAME"
        )
        parser.add_argument("--links", nargs=2, metavar=("HOST", "TARGET"), help="HOST has to be a CNAME of TARGET")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *, name: str, json: bool, **options: Any) -> None:
        domain = domain_name(name, "NAME")
        links = None
        if options["links"]:
            host, target = options["links"]
            links = (domain_name(host, "--links"), domain_name(target, "--links"))
        try:
            findings = checks.check(
                Resolver([nameserver(options["nameserver"])] if options["nameserver"] else None),
                domain,
                selectors=options["selector"],
                ips=[address(ip, "--ip") for ip in options["ip"]],
                ways_out=[way_out(way) for way in options["way_out"]],
                links=links,
            )
        except ValueError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(as_json(domain, findings) if json else self.table(domain, findings))
        if code := EXIT.get(worst(findings)):
            raise SystemExit(code)

    def table(self, domain: str, findings: list[Finding]) -> str:
        """One line for each finding, evidence and remedy below it; colour only on a terminal."""
        bright = self.stdout.isatty()  # self.style knows --no-color and NO_COLOR
        paint = {"pass": "SUCCESS", "warn": "WARNING", "fail": "ERROR", "unknown": "NOTICE"}
        lines = [domain]
        for finding in findings:
            mark = f"{finding.level:<7}"
            if bright:
                mark = getattr(self.style, paint[finding.level])(mark)
            lines.append(f"{mark}  {finding.check:<8}  {finding.text}")
            if finding.level != "pass":
                lines += [f"{'':19}| {piece}" for piece in finding.evidence]
            if finding.remedy:
                lines.append(f"{'':19}-> {finding.remedy}")
        counts = {level: sum(each.level == level for each in findings) for level in ("fail", "unknown", "warn", "pass")}
        lines.append(" ".join(f"{level}={count}" for level, count in counts.items()))
        return "\n".join(lines)


def as_json(domain: str, findings: list[Finding]) -> str:
    return json.dumps(
        {"domain": domain, "level": worst(findings), "findings": [finding.as_dict() for finding in findings]}
    )


def nameserver(text: str) -> tuple[str, int]:
    """HOST:PORT, HOST, [IPv6]:PORT or IPv6. Raises CommandError."""
    host, port = text, "53"
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":") or "53"
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536):
        raise CommandError(f"--nameserver: {port!r} is no port.")
    return address(host, "--nameserver"), int(port)


def domain_name(text: str, option: str) -> str:
    try:
        return addresses.parse_domain(text)
    except BadInput as error:
        raise CommandError(f"{option}: {text!r} is no domain name.") from error


def address(text: str, option: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        raise CommandError(f"{option}: {text!r} is no IP address.") from error


def way_out(text: str) -> str:
    kind, colon, name = text.partition(":")
    if kind.lower() != "include" or not colon:
        return address(text, "--way-out")
    try:
        return f"include:{addresses.parse_domain(name)}"
    except BadInput:
        # Providers ask for names with an underscore, which mail domains don't have.
        if name.isascii() and "." in name and all(char.isalnum() or char in "._-" for char in name):
            return f"include:{name.lower()}"
        raise CommandError(f"--way-out: {name!r} is no domain.") from None
