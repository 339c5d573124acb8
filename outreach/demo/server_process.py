"""One of the demo's servers in a process of its own: the parent, which forks, keeps no threads of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Self

_ROOT = Path(__file__).resolve().parents[2]


class ServerProcess:
    """Starts on entry, stops on exit. `module` is what `python -m` runs, `options` its flags.

    After a start `host` and `port` tell where it listens; a second start takes the same port again.
    """

    def __init__(self, module: str, **options: Any) -> None:
        self.host, self.port = "", int(options.pop("port", 0))
        self._module, self._options = module, options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, seconds: float = 20) -> Self:
        """Return when it takes connections. Raises RuntimeError when that lasts longer than `seconds`."""
        with tempfile.TemporaryDirectory() as folder:
            announce = Path(folder) / "announce"
            own = {"port": self.port, "announce": announce, "parent": os.getpid()}
            options = {**self._options, **own}
            command = [sys.executable, "-m", self._module, *_flags(options)]
            # Ctrl-C is for the parent, which drains its senders before the server goes.
            self._process = subprocess.Popen(command, cwd=_ROOT, start_new_session=True)  # noqa: S603 - our own module
            deadline = time.monotonic() + seconds
            while not announce.exists():
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise RuntimeError(f"The server {self._module} did not start.")
                time.sleep(0.01)
            told = json.loads(announce.read_text())
        self.host, self.port = told["host"], told["port"]
        return self

    @property
    def pid(self) -> int:
        """The process id; 0 when it isn't running."""
        return self._process.pid if self._process is not None else 0

    def pause(self) -> None:
        """Freeze it: connections stay open, nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it without a goodbye."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it; all connections drop. Does nothing when it isn't running."""
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *raised: object) -> None:
        self.stop()


def _flags(options: dict[str, Any]) -> list[str]:
    flags: list[str] = []
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            flags.append(flag)
        elif value is not False:
            flags.append(f"{flag}={value}")
    return flags
