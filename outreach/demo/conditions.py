"""What is different while the demo runs: variables of the environment, put there before the settings are read."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Sequence

FIRST_PORT, PORTS = 8000, 50
SINK_PORTS = range(2525, 2725)  # below the ports that the system hands out, so that it is free next time as well
DNS_PORTS = range(5300, 5400)
SETTINGS = {
    "SMTP_ALLOW_LOOPBACK": "1",  # the sink is on this machine and has no certificate
    "RETRY_SCHEDULE": "3,10",  # seconds instead of minutes to hours
    "PLAN_EVERY_SECONDS": "1",  # so that a retry is not planned up to a minute late
    "SWEEP_EVERY_SECONDS": "2",
    "BATCH_AHEAD_SECONDS": "4",  # a gap of 1 s fills a lane: shorter ones let a job hold more mailboxes
}


def apply(arguments: Sequence[str]) -> None:
    """Set what is not set yet. Unless a port is asked for, the console's is the first free one from 8000 on."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    asked = re.search(r"--port[= ](\d+)", " ".join(arguments))
    port = int(asked[1]) if asked else first_free(range(FIRST_PORT, FIRST_PORT + PORTS))
    os.environ.setdefault("OUTREACH_DEMO_PORT", str(port))
    # The demo's own name server knows its domains; a name server of the world would say that there are none.
    os.environ.setdefault("DNS_NAMESERVER", f"127.0.0.1:{first_free(DNS_PORTS)}")
    # Links in mails and pages lead to this console, also where STATE_DIR/env has another port.
    os.environ.setdefault("PUBLIC_URL", f"http://localhost:{port}")


def port() -> int:
    """The console's port."""
    return int(os.environ.get("OUTREACH_DEMO_PORT", FIRST_PORT))


def dns_port() -> int:
    """The port of the demo's name server."""
    return int(os.environ["DNS_NAMESERVER"].rpartition(":")[2])


def first_free(ports: Sequence[int]) -> int:
    """The first port of loopback that nobody listens on; the first of all when none is free."""
    return next((port for port in ports if is_free(port)), ports[0])


def is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
