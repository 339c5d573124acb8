"""The demo's one user: a real account with a real second factor, whose secrets are shown on the terminal."""

from __future__ import annotations

import io
import json
import os
import time
from base64 import b32encode
from dataclasses import dataclass, field
from pathlib import Path

import qrcode
from django.conf import settings
from django.db import transaction
from django_otp.oath import TOTP
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from outreach.common.errors import NotReady
from tenants.models import User
from tenants.services import members, users
from tenants.services.actors import SYSTEM

EMAIL = "demo@outreach.example"
ONE_USE_CODES = 10


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
    """The user is there, with ten one-use codes from the first time on; the password lies in the folder, mode 0600."""
    store = folder / "sign-in.json"
    user = User.objects.filter(email=EMAIL).first()
    if user is None:
        made = users.create(EMAIL, actor=SYSTEM, platform_admin=True)
        user = made.user
        members.grant(user, "platform_admin", None, actor=SYSTEM)
        keep(store, made.password)
        device = StaticDevice.objects.create(user=user, name="One-use codes")
        for _ in range(ONE_USE_CODES):
            device.token_set.create(token=StaticToken.random_token())
    password = json.loads(store.read_text())["password"] if store.exists() else "(changed)"
    app = _app(user)
    left = StaticToken.objects.filter(device__user=user).order_by("pk").values_list("token", flat=True)
    secret = b32encode(app.bin_key).decode()
    return SignIn(EMAIL, password, secret, app.config_url, _code(app), tuple(left))


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


def keep(store: Path, password: str) -> None:
    """Write the password where only its owner reads it."""
    with os.fdopen(os.open(store, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({"email": EMAIL, "password": password}, file)


def _app(user: User) -> TOTPDevice:
    app = TOTPDevice.objects.filter(user=user).first()
    if app is None:
        raise NotReady("The demo's user has no authenticator any more; start over with --fresh.", missing=[])
    return app


def _code(app: TOTPDevice) -> str:
    """A code counts once, and `last_t` is the newest step used; one step ahead is tolerated, so no more is shown."""
    clock = TOTP(app.bin_key, app.step, app.t0, app.digits, app.drift)
    while app.last_t + 1 > clock.t() + app.tolerance:
        time.sleep(0.2)
    clock.time = max(time.time(), (app.last_t + 1 - app.drift) * app.step + app.t0)
    return f"{clock.token():0{app.digits}d}"
