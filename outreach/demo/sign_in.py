"""The demo's one user: a real account with a real second factor, whose secrets are shown on the terminal."""

from __future__ import annotations

import io
import json
import os
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path

import qrcode
from django.conf import settings
from django.db import transaction

from outreach.common.errors import NotReady
from tenants.models import RecoverySheet, SecondFactor, User
from tenants.services import factors, members, users
from tenants.services.actors import SYSTEM

EMAIL = "demo@outreach.example"


@dataclass(frozen=True, slots=True)
class SignIn:
    """What somebody needs to get into the console. `codes` are those not used yet."""

    email: str
    password: str = field(repr=False)
    secret: str = field(repr=False)
    url: str = field(repr=False)
    code: str = field(repr=False)
    codes: tuple[str, ...] = field(repr=False)

    @property
    def picture(self) -> str:
        """The QR code of `url` in half blocks, for a terminal."""
        code = qrcode.QRCode(border=1)
        code.add_data(self.url)
        text = io.StringIO()
        code.print_ascii(out=text, invert=True)
        return text.getvalue().rstrip("\n")


@transaction.atomic
def ensure(folder: Path) -> SignIn:
    """The user is there, with ten one-use codes from the first time on.

    Password and codes lie in the folder, mode 0600: the database has only hashes of them.
    """
    store = folder / "sign-in.json"
    user = User.objects.filter(email=EMAIL).first()
    if user is None:
        password = secrets.token_urlsafe(15)
        user = users.enrol(EMAIL, password, actor=SYSTEM, platform_admin=True)
        members.grant(user, "platform_admin", None, actor=SYSTEM)
        keep(store, password, factors.give(user, actor=SYSTEM)[1])
    kept = json.loads(store.read_text()) if store.exists() else {}
    app, sheet = _app(user), RecoverySheet.objects.filter(user=user).first()
    left = tuple(code for code in kept.get("codes", ()) if sheet is not None and sheet.has(code))
    return SignIn(EMAIL, kept.get("password", "(changed)"), app.secret, app.config_url, _code(app), left)


def next_code() -> str:
    """The next six digits that the sign-in takes; waits where the coming ones were used already.

    Raises NotReady without a demo, and on a database that is not the embedded one.
    """
    if not settings.EMBEDDED_POSTGRES:
        raise NotReady("Codes are shown for the embedded database only; use your authenticator app.", missing=[])
    user = User.objects.filter(email=EMAIL).first()
    if user is None:
        raise NotReady("There is no demo here yet: make demo makes one.", missing=[])
    return _code(_app(user))


def keep(store: Path, password: str, codes: list[str]) -> None:
    """Write both where only their owner reads them."""
    with os.fdopen(os.open(store, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({"email": EMAIL, "password": password, "codes": codes}, file)


def _app(user: User) -> SecondFactor:
    app = SecondFactor.objects.filter(user=user, confirmed=True).first()
    if app is None:
        raise NotReady("The demo's user has no authenticator any more; start over with --fresh.", missing=[])
    return app


def _code(app: SecondFactor) -> str:
    """A code counts once, and `last_step` is the newest used; one step ahead is tolerated, so no more is shown."""
    clock = app.clock
    while app.last_step + 1 > clock.t() + app.TOLERANCE:
        time.sleep(0.2)
        clock.time = time.time()
    clock.time = max(time.time(), (app.last_step + 1 - app.drift) * app.STEP_SECONDS)
    return f"{clock.token():0{app.DIGITS}d}"
