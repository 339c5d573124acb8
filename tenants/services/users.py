"""People who sign in: made, shut out, given a new second factor."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from outreach.common.errors import BadInput, Missing
from tenants.models import User
from tenants.services import audit
from tenants.services.actors import Actor


@dataclass(frozen=True, slots=True)
class SignIn:
    """What a person needs to sign in; shown once and kept nowhere else. An empty password is unchanged."""

    user: User
    config_url: str = field(repr=False)
    password: str = field(default="", repr=False)


@transaction.atomic
def create(email: str, *, actor: Actor, platform_admin: bool = False) -> SignIn:
    """A new person with a random password and a second factor. Raises BadInput for an address in use."""
    actor.require("tenants.administer")
    password = secrets.token_urlsafe(15)
    return enrol(email, password, actor=actor, platform_admin=platform_admin)


@transaction.atomic
def enrol(email: str, password: str, *, actor: Actor, platform_admin: bool = False) -> SignIn:
    """A new person with that password and a second factor; the caller has checked that there may be one.

    Raises BadInput for an address in use.
    """
    email = address(email)
    try:
        with transaction.atomic():
            user = User.objects.create_user(email, password, is_staff=True, is_superuser=platform_admin)
    except IntegrityError as error:
        raise BadInput(f"There is already a user {email}.", field="email") from error
    device = TOTPDevice.objects.create(user=user, name="Authenticator")
    audit.record(actor, "user.created", user, platform_admin=platform_admin)
    return SignIn(user, device.config_url, password)


def address(text: str) -> str:
    """The text as an address by which a person may sign in, without blanks around it. Raises BadInput."""
    email = text.strip()
    try:
        validate_email(email)
    except ValidationError as error:
        raise BadInput(f"{email!r} is no e-mail address.", field="email") from error
    return email


def find(email: str) -> User:
    """The person of that address. Raises Missing."""
    user = User.objects.filter(email__iexact=email.strip()).first()
    if user is None:
        raise Missing(f"There is no user {email.strip()}; invite them instead.", field="user")
    return user


@transaction.atomic
def renew_second_factor(user: User, *, actor: Actor) -> SignIn:
    """The old authenticator and the one-use codes are void; the person needs the new secret from now on."""
    actor.require("tenants.administer")
    user = User.objects.select_for_update().get(pk=user.pk)
    TOTPDevice.objects.filter(user=user).delete()
    StaticDevice.objects.filter(user=user).delete()
    device = TOTPDevice.objects.create(user=user, name="Authenticator")
    audit.record(actor, "user.second_factor_renewed", user)
    return SignIn(user, device.config_url)


@transaction.atomic
def shut_out(user: User, *, actor: Actor) -> User:
    """The person can't sign in any more, and every open session of theirs ends with its next request."""
    actor.require("tenants.administer")
    if actor.user_id == user.pk:
        raise BadInput("You can't shut yourself out; another platform admin can.")
    user = User.objects.select_for_update().get(pk=user.pk)
    user.is_active = False
    user.save(update_fields=["is_active"])
    audit.record(actor, "user.shut_out", user)
    return user


@transaction.atomic
def let_in(user: User, *, actor: Actor) -> User:
    """The person can sign in again, with the same password and second factor."""
    actor.require("tenants.administer")
    user = User.objects.select_for_update().get(pk=user.pk)
    user.is_active = True
    user.save(update_fields=["is_active"])
    audit.record(actor, "user.let_in", user)
    return user
