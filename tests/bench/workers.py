"""Real worker processes, with what they use."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from tests.bench import house


@dataclass(frozen=True, slots=True)
class Used:
    """CPU in seconds, user and system; peak memory of one process in MiB."""

    cpu_seconds: float
    peak_mib: float


class Workers:
    """Two processes that work off one queue until the block ends. `queue_url` is their own Valkey database."""

    def __init__(self, command: Sequence[str], queue_url: str, name: str, count: int = 2) -> None:
        self.queue_url = queue_url
        self._command, self._name, self._count = command, name, count

    def __enter__(self) -> Workers:
        env = {name: value for name, value in os.environ.items() if name not in ("DATABASE_ROLE", "LOG_LEVEL")}
        env["REDIS_URL"] = self.queue_url
        command = [sys.executable, *self._command]
        self._log = (house.STATE / f"{self._name}.log").open("a")
        self._processes = [
            subprocess.Popen(command, cwd=house.ROOT, env=env, stdout=self._log, stderr=self._log)
            for _ in range(self._count)
        ]
        self._seen = [psutil.Process(process.pid) for process in self._processes]
        return self

    def __exit__(self, *_raised: object) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
        self._log.close()

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes]

    def check(self) -> None:
        """Raise RuntimeError with the log's end when one of them died."""
        if any(process.poll() is not None for process in self._processes):
            raise RuntimeError(f"A worker died:\n{self.words()}")

    def words(self) -> str:
        """The end of their log."""
        return (house.STATE / f"{self._name}.log").read_text()[-3000:]

    def used(self) -> Used:
        """What they have used so far."""
        times = [process.cpu_times() for process in self._seen]
        return Used(sum(each.user + each.system for each in times), max(map(peak, self.pids)))


def peak(pid: int | str = "self") -> float:
    """The largest resident size of a process since `forget_peak`, in MiB."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


def forget_peak(pid: int | str = "self") -> None:
    """Begin anew with the largest resident size."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/clear_refs", "w") as refs:
        refs.write("5")
