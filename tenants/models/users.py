"""People who sign in to the console."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.db import models
from django.db.models.functions import Lower
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from tenants.models import history


class UserManager(BaseUserManager["User"]):
    """Users are known by their address."""

    use_in_migrations = True

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, **{**fields, "is_staff": True, "is_superuser": True})


@history.track(without=("last_login", "session_epoch", "one_time_until"), secrets=("password",))
class User(AbstractUser):  # type: ignore[django-manager-missing]  # django_otp brings no types
    """A person; signs in by address, password and a second factor."""

    username = None  # type: ignore[assignment]
    email = models.EmailField(_("email address"), unique=True)
    # Raised by whatever has to end every open session of the person: see get_session_auth_hash.
    session_epoch = models.PositiveIntegerField(default=0, editable=False)
    # The password was given by somebody else: it lets in until then, and only to a page that changes it.
    one_time_until = models.DateTimeField(_("one-time password until"), null=True, blank=True, editable=False)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = []
    objects = UserManager()  # type: ignore[misc,assignment]

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")
        constraints = [models.UniqueConstraint(Lower("email"), name="user_email_once")]

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """What a session has to carry to go on: Django's, of password and epoch, so that either ends it."""
        value = f"{self.session_epoch}:{self.password}"
        return salted_hmac("tenants.User.session", value, secret=secret, algorithm="sha256").hexdigest()
