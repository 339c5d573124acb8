"""The very first `up` on a machine: keys of its own, so that nothing has to be set up by hand."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path

# Any of these says that somebody has set the console up.
SIGNS = ("SECRET_KEY", "DEBUG", "DATABASE_URL", "PUBLIC_URL", "CREDENTIAL_KEYS")


def key() -> str:
    """Return 32 random bytes in base64."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


def text(port: int) -> str:
    """Return a fresh configuration for a console that only this machine reaches."""
    return f"""\
# Written at the first start; variables of the environment go before these. Keep this file: the keys
# open stored passwords and unsubscribe links, and HASH_KEY and AUDIT_KEY must never change.
DEBUG=0
SECRET_KEY={secrets.token_urlsafe(50)}
CREDENTIAL_KEYS=k1:{key()}
TOKEN_KEYS=k1:{key()}
HASH_KEY={key()}
AUDIT_KEY={key()}
# For this machine only. Real use: a host name, https in PUBLIC_URL, and the last line taken out.
ALLOWED_HOSTS=localhost,127.0.0.1,[::1]
PUBLIC_URL=http://localhost:{port}
INSECURE_HTTP=1
"""


def complete(state_dir: Path) -> None:
    """Add what a newer release needs to a file that an older one wrote here, and to no other file."""
    target = state_dir / "env"
    if not target.exists() or os.environ.get("AUDIT_KEY"):
        return
    found = target.read_text()
    if found.startswith("# Written at the first start;") and "\nAUDIT_KEY=" not in found:
        with target.open("a") as file:
            file.write(f"{'' if found.endswith(chr(10)) else chr(10)}AUDIT_KEY={key()}\n")


def write(state_dir: Path, port: int) -> bool:
    """Write STATE_DIR/env (mode 0600) unless the console is set up already; return whether it did."""
    target = state_dir / "env"
    if target.exists() or any(os.environ.get(name) for name in SIGNS):
        return False
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = state_dir / f"env.{os.getpid()}"
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text(port))
    try:
        os.link(draft, target)  # whole or not at all, and the first of two wins
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True
