"""The second factor of a person: an authenticator app, and a sheet of codes for the day when it is lost."""

from __future__ import annotations

import hmac
import re
import secrets
import time
import uuid
from base64 import b32encode
from datetime import timedelta
from urllib.parse import quote, urlencode

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from django_otp.models import Device, ThrottlingMixin, TimestampMixin
from django_otp.oath import TOTP

from outreach.common import sealed_fields
from outreach.common.hashing import Hasher
from outreach.common.sealing import Keyring

KEY_BYTES = 20  # RFC 4226, 4: the length of SHA-1's output
CODES = 10  # on one sheet
CODE_LETTERS = 10  # of a code on it, five random bits each
LONGEST_WAIT = timedelta(hours=1)  # after wrong codes: nobody else can keep a person out for longer
SIX_DIGITS = re.compile(r"[0-9]{6}", re.ASCII)


class SlowedDown(TimestampMixin, ThrottlingMixin, Device):
    """A device that takes codes after 1, 2, 4, ... seconds only, twice as long after each wrong one."""

    class Meta:
        abstract = True

    def get_throttle_factor(self) -> int:
        return 1

    def verify_is_allowed(self):
        failed_at = self.throttling_failure_timestamp
        if failed_at is not None and now() - failed_at >= LONGEST_WAIT:
            return True, None
        return super().verify_is_allowed()

    def verify_token(self, token: str) -> bool:
        """Take the code, or count it as wrong. Inside a transaction that holds the row's lock."""
        if not self.verify_is_allowed()[0]:
            return False
        right = self._take(token)
        if right:
            self.throttle_reset(commit=False)
            self.set_last_used_timestamp(commit=False)
        else:
            self.throttle_increment(commit=False)
        self.save()
        return right

    def _take(self, token: str) -> bool:
        """Whether the code is right; it is used up then."""
        raise NotImplementedError


class SecondFactor(SlowedDown):
    """An authenticator app (RFC 6238, SHA-1, six digits, 30 seconds). Its key is sealed; each code counts once.

    One that is not confirmed belongs to a person who is just setting it up, and opens nothing.
    """

    STEP_SECONDS, DIGITS, TOLERANCE = 30, 6, 1  # one step early or late

    seal_ref = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    sealed_key = models.BinaryField()
    last_step = models.BigIntegerField(default=-1)  # of the newest code that was taken; older ones are void
    drift = models.SmallIntegerField(default=0)  # steps by which the app's clock was found to differ

    class Meta:
        verbose_name = _("authenticator")
        verbose_name_plural = _("authenticators")
        constraints = [
            models.UniqueConstraint(fields=["user"], condition=Q(confirmed=True), name="secondfactor_one_confirmed")
        ]

    @classmethod
    def new(cls, user, *, confirmed: bool) -> SecondFactor:
        """One with a key of its own, not saved."""
        device = cls(user=user, name="Authenticator", confirmed=confirmed)
        device.seal(secrets.token_bytes(KEY_BYTES))
        return device

    def seal(self, key: bytes) -> None:
        self.sealed_key = Keyring.parse(settings.CREDENTIAL_KEYS).seal(key, self.place)

    @property
    def place(self) -> tuple[str, ...]:
        """What the seal is bound to. People belong to no tenant."""
        return AUTHENTICATOR_KEY.place(None, self.seal_ref)

    @property
    def key(self) -> bytes:
        """The secret in clear. Raises SealBroken."""
        return Keyring.parse(settings.CREDENTIAL_KEYS).open(bytes(self.sealed_key), self.place)

    @property
    def secret(self) -> str:
        """The key as people type it."""
        return b32encode(self.key).decode()

    @property
    def config_url(self) -> str:
        """What an authenticator app reads from the QR code: it holds the secret."""
        issuer = settings.OTP_TOTP_ISSUER
        facts = {"secret": self.secret, "algorithm": "SHA1", "digits": self.DIGITS, "period": self.STEP_SECONDS}
        label = quote(f"{issuer}:{self.user.get_username()}")
        return f"otpauth://totp/{label}?{urlencode(facts | {'issuer': issuer}, quote_via=quote)}"

    @property
    def clock(self) -> TOTP:
        """The codes of now and of other times."""
        clock = TOTP(self.key, self.STEP_SECONDS, 0, self.DIGITS, self.drift)
        clock.time = time.time()
        return clock

    def _take(self, token: str) -> bool:
        if not SIX_DIGITS.fullmatch(token):
            return False
        clock = self.clock
        if not clock.verify(int(token), self.TOLERANCE, self.last_step + 1):
            return False
        self.last_step, self.drift = clock.t(), clock.drift
        return True


AUTHENTICATOR_KEY = sealed_fields.register("tenants.SecondFactor", "sealed_key", "key")


class RecoverySheet(SlowedDown):
    """Codes that work once each, for who has lost the authenticator. Only their keyed hashes are kept."""

    hashes = ArrayField(models.BinaryField(), default=list)

    class Meta:
        verbose_name = _("recovery sheet")
        verbose_name_plural = _("recovery sheets")
        constraints = [models.UniqueConstraint(fields=["user"], name="recoverysheet_once")]

    def write(self) -> list[str]:
        """Put ten new codes in the place of the old ones; they are in the answer and nowhere else. Not saved."""
        codes = [new_code() for _i in range(CODES)]
        self.hashes = [hashed(self.user_id, code) for code in codes]
        return codes

    def has(self, code: str) -> bool:
        """Whether that code was not used yet."""
        return self._find(code) is not None

    def _find(self, code: str) -> int | None:
        wanted = hashed(self.user_id, code)
        found = [i for i, kept in enumerate(self.hashes) if hmac.compare_digest(bytes(kept), wanted)]
        return found[0] if found else None

    def _take(self, token: str) -> bool:
        place = self._find(token)
        if place is None:
            return False
        self.hashes = [kept for i, kept in enumerate(self.hashes) if i != place]
        return True


def new_code() -> str:
    """A code as it is shown: ten letters and digits with a dash."""
    text = b32encode(secrets.token_bytes(CODE_LETTERS)).decode().lower()
    return f"{text[: CODE_LETTERS // 2]}-{text[CODE_LETTERS // 2 : CODE_LETTERS]}"


def hashed(user_id: int, code: str) -> bytes:
    """What is kept of a code: HMAC under HASH_KEY, of the code as it was meant (case, blanks, dashes aside)."""
    meant = "".join(code.split()).replace("-", "").lower()
    return Hasher.parse(settings.HASH_KEY).derive("recovery code", user_id, meant)
