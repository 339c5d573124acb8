"""The other side of the row `post_office`: its environment, its process, its database."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.bench import content, house

HERE = Path(__file__).resolve().parent
VENV = house.ROOT / ".run" / "bench-venv"
DATABASE = "post_office"


class PostOffice:
    """Runs while the block lasts; `send` fills its queue and times how long emptying it takes."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.version = ""

    def __enter__(self) -> PostOffice:
        from outreach import embedded

        python = environment()
        with house.admin("postgres") as link:
            link.execute(f"CREATE DATABASE {DATABASE}")
        side = [str(embedded.socket_dir(house.STATE)), DATABASE, str(self.port), str(house.STATE)]
        self._process = subprocess.Popen(
            [python, HERE / "rival_process.py", *side],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=house.STATE,
            env={"PATH": "/usr/bin:/bin", "TMPDIR": str(house.STATE)},
        )
        command = [python, "-c", "import importlib.metadata as m; print(m.version('django-post-office'))"]
        self.version = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        text, html = (rendered(part) for part in (content.TEXT, content.HTML))
        self._say(json.dumps({"text": text, "html": html}))
        return self

    def __exit__(self, *_raised: object) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()  # type: ignore[union-attr]
        self._process.wait(60)

    def send(self, messages: int) -> tuple[float, float]:
        """Seconds, and CPU seconds of all its processes."""
        self._say(f"send {messages}")
        line = self._process.stdout.readline()  # type: ignore[union-attr]
        if not line:
            raise RuntimeError("django-post-office ended; its words are above.")
        answer: dict[str, Any] = json.loads(line)
        return answer["seconds"], answer["cpu_seconds"]

    def _say(self, line: str) -> None:
        self._process.stdin.write(line + "\n")  # type: ignore[union-attr]
        self._process.stdin.flush()  # type: ignore[union-attr]


def rendered(part: str) -> str:
    """What ours makes of the part for one person, NUMBER where the person's number stands, footer included."""
    from campaigns.templating import compile_step

    compiled = compile_step(content.SUBJECT, content.TEXT, content.HTML)
    fields = {"first_name": "FirstNUMBER", "company": "Company NUMBER", "country": "UA"}
    chosen = compiled.text if part is content.TEXT else compiled.html
    return f"{chosen.render(fields)}\n1 Example Street, 01001 Kyiv\nhttps://console.example.com/u/{'x' * 60}\n"  # type: ignore[union-attr]


def environment() -> Path:
    """The Python of an environment that has exactly what requirements.txt here says; made at first use."""
    wanted = (HERE / "requirements.txt").read_text()
    mark = VENV / "made-from.txt"
    python = VENV / "bin" / "python"
    if not mark.exists() or mark.read_text() != wanted:
        house.say("Making the environment of django-post-office.")
        shutil.rmtree(VENV, ignore_errors=True)
        # Without pip inside: this environment's own pip installs, so that no ensurepip is needed.
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", VENV], check=True)
        pip = [sys.executable, "-m", "pip", "--python", python, "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([*pip, "--require-hashes", "-r", HERE / "requirements.txt"], check=True)
        mark.write_text(wanted)
    return python
