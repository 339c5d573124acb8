"""PostgreSQL and Valkey for one run, durable as in production, in a directory that goes with it."""

from __future__ import annotations

import base64
import os
import platform
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
STATE = ROOT / ".run" / f"bench-{os.getpid()}"


def key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def configuration() -> dict[str, str]:
    """As in production: DEBUG off, keys of its own; only loopback may be dialled as well."""
    return {
        "DJANGO_SETTINGS_MODULE": "outreach.settings",
        "STATE_DIR": str(STATE),
        "DEBUG": "0",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "CREDENTIAL_KEYS": f"k1:{key()}",
        "TOKEN_KEYS": f"k1:{key()}",
        "HASH_KEY": key(),
        "AUDIT_KEY": key(),
        "ALLOWED_HOSTS": "console.example.com",
        "PUBLIC_URL": "https://console.example.com",
        "SMTP_ALLOW_LOOPBACK": "1",
    }


@contextmanager
def open_for_business() -> Iterator[None]:
    """Servers run, the schema is current, Django is set up and signed in as worker."""
    for name in ("DATABASE_URL", "WORKER_DATABASE_URL", "OWNER_DATABASE_URL", "REDIS_URL"):
        os.environ.pop(name, None)
    os.environ.update(configuration() | {"DATABASE_ROLE": "worker", "LOG_LEVEL": "WARNING"})
    shutil.rmtree(STATE, ignore_errors=True)

    import django

    django.setup()

    from outreach import embedded

    embedded.ensure()
    try:
        command = [sys.executable, ROOT / "manage.py", "migrate", "--no-input", "--verbosity", "0"]
        subprocess.run(command, check=True, cwd=ROOT, env=os.environ | {"DATABASE_ROLE": "owner"})
        yield
    finally:
        from django.db import connections

        connections.close_all()
        embedded.stop()
        shutil.rmtree(STATE, ignore_errors=True)


def admin(database: str = "outreach") -> Any:
    """An autocommit connection of the superuser, for what is only preparation: filling, vacuum, reading sizes."""
    from outreach import embedded

    return embedded.Postgres(STATE).connect(database=database)


def say(text: str) -> None:
    """Progress goes to stderr; the table alone is on stdout."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def machine() -> dict[str, Any]:
    return {"cores": os.cpu_count(), "platform": platform.platform(), "python": platform.python_version()}
