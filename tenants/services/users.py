"""People who sign in: made, shut out, given a new second factor."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import timedelta

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.utils.timezone import now

from outreach.common.errors import BadInput, Missing, NotAllowed
from tenants.models import User
from tenants.services import audit, factors, sessions
from tenants.services.actors import Actor

ONE_TIME = timedelta(days=3)  # how long a password that somebody else made up lets in


@dataclass(frozen=True, slots=True)
class SignIn:
    """By what a person signs in the first time; shown once and kept nowhere else."""

    user: User
    password: str = field(repr=False)


@transaction.atomic
def create(email: str, *, actor: Actor, platform_admin: bool = False) -> SignIn:
    """A new person with a random password for once. Raises BadInput for an address in use.

    With it the person sets up a second factor, which nobody else sees, and chooses a password of their own.
    """
    actor.require("tenants.administer")
    password = secrets.token_urlsafe(15)
    user = enrol(email, password, actor=actor, platform_admin=platform_admin)
    user.one_time_until = now() + ONE_TIME
    user.save(update_fields=["one_time_until"])
    return SignIn(user, password)


@transaction.atomic
def enrol(email: str, password: str, *, actor: Actor, platform_admin: bool = False) -> User:
    """A new person with that password, who sets up a second factor at the first sign-in.

    The caller has checked that there may be one. Raises BadInput for an address in use.
    """
    email = address(email)
    try:
        with transaction.atomic():
            user = User.objects.create_user(email, password, is_staff=True, is_superuser=platform_admin)
    except IntegrityError as error:
        raise BadInput(f"There is already a user {email}.", field="email") from error
    audit.record(actor, "user.created", user, platform_admin=platform_admin)
    return user


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
def new_password(user: User, *, actor: Actor) -> SignIn:
    """The old password is void; the new one lets in once, with the second factor, to choose another.

    Ends every session of the person. It never replaces the second factor.
    """
    actor.require("tenants.administer")
    made = _one_time(user)
    sessions.end_all(made.user, actor=actor)
    audit.record(actor, "user.password_renewed", made.user)
    return made


@transaction.atomic
def renew_second_factor(user: User, *, actor: Actor) -> SignIn:
    """Authenticator, one-use codes and password are void; the person sets up new ones by the one-time password.

    The password goes too: else whoever knows it, and was kept out by the second factor alone, would get in.
    Ends every session of the person.
    """
    actor.require("tenants.administer")
    made = _one_time(user)
    factors.forget(made.user, actor=actor)
    sessions.end_all(made.user, actor=actor)
    audit.record(actor, "user.second_factor_renewed", made.user)
    return made


@transaction.atomic
def change_password(user: User, password: str, *, actor: Actor, kept: str = "") -> User:
    """The person's own new password, which the door has validated. Every session of theirs but `kept` ends."""
    if actor.user_id != user.pk:
        raise NotAllowed("Only one's own password can be chosen.")
    user = User.objects.select_for_update().get(pk=user.pk)
    user.set_password(password)
    user.one_time_until = None
    user.save(update_fields=["password", "one_time_until"])
    sessions.end_all(user, actor=actor, kept=kept)
    audit.record(actor, "user.password_changed", user)
    return user


def _one_time(user: User) -> SignIn:
    user = User.objects.select_for_update().get(pk=user.pk)
    password = secrets.token_urlsafe(15)
    user.set_password(password)
    user.one_time_until = now() + ONE_TIME
    user.save(update_fields=["password", "one_time_until"])
    return SignIn(user, password)


@transaction.atomic
def shut_out(user: User, *, actor: Actor) -> User:
    """The person can't sign in any more, and every open session of theirs ends with its next request."""
    actor.require("tenants.administer")
    if actor.user_id == user.pk:
        raise BadInput("You can't shut yourself out; another platform admin can.")
    user = User.objects.select_for_update().get(pk=user.pk)
    user.is_active = False
    user.save(update_fields=["is_active"])
    sessions.end_all(user, actor=actor)
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
