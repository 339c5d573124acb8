"""A management command measured from its start to its end."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

from tests.bench import house
from tests.bench.workers import peak


def measured(name: str, *arguments: str) -> tuple[dict[str, Any], float, float]:
    """What the command says as JSON, its seconds and its peak MiB, in a process of its own.

    Raises RuntimeError when it fails.
    """
    env = {key: value for key, value in os.environ.items() if key != "DATABASE_ROLE"}
    mib = 0.0
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complaints:
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "manage.py", name, *arguments, "--json"],
            cwd=house.ROOT, env=env, stdout=said, stderr=complaints,
        )  # fmt: skip
        # Not ru_maxrss: it begins with the peak of whoever started the process.
        while process.poll() is None:
            with contextlib.suppress(OSError, StopIteration):  # gone between the two looks
                mib = max(mib, peak(process.pid))
            time.sleep(0.02)
        seconds = time.monotonic() - started
        said.seek(0)
        complaints.seek(0)
        answer, words = said.read(), complaints.read()
    if process.returncode:
        raise RuntimeError(f"{name} ended with {process.returncode}: {answer[-2000:]!r} {words[-2000:]!r}")
    return json.loads(answer.splitlines()[-1]), seconds, mib
