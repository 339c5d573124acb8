"""Each process keeps to a CPU of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HOLD = """
from pathlib import Path
from outreach.common import cpus
print(cpus.keep_to_one(Path({!r})), flush=True)
input()
"""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs")
def test_no_two_processes_take_the_same_cpu_and_who_comes_late_takes_none(tmp_path):
    allowed = os.sched_getaffinity(0)
    command = [sys.executable, "-c", HOLD.format(str(tmp_path))]
    holders = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(len(allowed) + 1)
    ]
    try:
        taken = [holder.stdout.readline().strip() for holder in holders]
    finally:
        for holder in holders:
            holder.communicate("\n", timeout=10)

    assert sorted(taken) == sorted([*map(str, allowed), "None"])
