"""Debian's smtp-sink (package postfix), started with the options of a test."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

PROGRAM = shutil.which("smtp-sink", path="/usr/sbin:/usr/local/sbin:" + os.environ.get("PATH", ""))


class SmtpSink:
    """Runs while the block lasts; `port` tells where. Its dump is complete once `stop` has returned."""

    def __init__(self, *options: str, dump: Path | None = None) -> None:
        if PROGRAM is None:
            pytest.skip("smtp-sink is not installed: make test-peers")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._dump = dump
        given = [*options]
        if dump is not None:
            given += ["-D", str(dump)]
        if os.geteuid() == 0:
            given += ["-u", "root"]  # it insists on a name; another user can't write into a test's folder
        self._command = [PROGRAM, *given, f"127.0.0.1:{self.port}", "1000"]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> SmtpSink:
        self._process = subprocess.Popen(self._command)
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.02)
        raise RuntimeError("smtp-sink did not start.")

    def __exit__(self, *_raised: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.wait(5)

    def messages(self) -> list[str]:
        """The recipients in the dump, one per mail that it holds."""
        if self._dump is None or not self._dump.exists():
            return []
        lines = self._dump.read_text("utf-8", "replace").splitlines()
        return [line.split("<")[1].split(">")[0] for line in lines if line.startswith("X-Rcpt-Args:")]
