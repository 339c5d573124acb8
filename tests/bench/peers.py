"""The programs that others wrote: Debian's smtp-sink and smtp-source."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time

PLACES = "/usr/sbin:/usr/local/sbin:" + os.environ.get("PATH", "")
SESSIONS = 10  # of smtp-source at once; more or fewer were not faster


def program(name: str) -> str:
    """Where it is. Raises SystemExit with what to do when it is not installed."""
    found = shutil.which(name, path=PLACES)
    if found is None:
        raise SystemExit(f"{name} is not installed: run make bench as root, or apt-get install postfix.")
    return found


class Sink:
    """Takes every mail and throws it away; `port` on loopback."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]

    def __enter__(self) -> Sink:
        user = ["-u", "root"] if os.geteuid() == 0 else []
        command = [program("smtp-sink"), *user, "-m", "2000", f"127.0.0.1:{self.port}", "1000"]
        self.process = subprocess.Popen(command)
        for _ in range(250):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.02)
        raise RuntimeError("smtp-sink did not start.")

    def __exit__(self, *_raised: object) -> None:
        self.process.terminate()
        self.process.wait(5)


def source(port: int, messages: int, size: int) -> tuple[float, float]:
    """Seconds, and CPU seconds, that smtp-source takes for so many mails of that size, one connection each."""
    flags = ["-s", str(SESSIONS), "-m", str(messages), "-l", str(size)]
    command = [program("smtp-source"), *flags, "-f", "a@sender.example", "-t", "b@world.example"]
    before, started = os.times(), time.monotonic()
    subprocess.run([*command, f"127.0.0.1:{port}"], check=True)
    seconds, after = time.monotonic() - started, os.times()
    return seconds, sum(after[2:4]) - sum(before[2:4])
