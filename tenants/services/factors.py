"""Second factors: set up by their person, asked at each sign-in, void when somebody renews them."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.utils.timezone import now

from outreach.common.errors import BadInput, InvalidMove
from tenants.models import RecoverySheet, SecondFactor, User
from tenants.models.factors import SIX_DIGITS, SlowedDown
from tenants.services import audit, sessions
from tenants.services.actors import Actor

WRONG_CODE = "This code is wrong, or was used already."


def is_set_up(user: User) -> bool:
    """Whether this person has an authenticator that counts."""
    return SecondFactor.objects.filter(user=user, confirmed=True).exists()


def codes_left(user: User) -> int:
    """How many one-use codes this person has not used."""
    sheet = RecoverySheet.objects.filter(user=user).first()
    return len(sheet.hashes) if sheet else 0


def verify(user: User, code: str) -> SlowedDown | None:
    """Take a code: six digits are for the authenticator, all else is a one-use code. Return what took it.

    A code counts once, whoever comes first. A wrong one is counted, and the device takes none for a while.
    """
    code = "".join(code.split())
    model = SecondFactor if SIX_DIGITS.fullmatch(code) else RecoverySheet
    with transaction.atomic():
        if not is_set_up(user):
            return None
        device = model._default_manager.select_for_update().filter(user=user, confirmed=True).first()
        return device if device is not None and device.verify_token(code) else None


@transaction.atomic
def begin(user: User, *, actor: Actor) -> SecondFactor:
    """A new authenticator that counts once its person has entered a code of it."""
    _of_oneself(user, actor)
    given_up = SecondFactor.objects.filter(user=user, confirmed=False, created_at__lt=now() - timedelta(days=1))
    given_up.delete()
    device = SecondFactor.new(user, confirmed=False)
    device.save()
    return device


@transaction.atomic
def confirm(device: SecondFactor, code: str, *, actor: Actor, kept: str = "") -> list[str] | None:
    """The authenticator counts from now on, in place of any other; return ten new one-use codes, shown once.

    None for a wrong code, which is counted. Every session of the person but `kept` ends (sessions.end_all).
    Raises InvalidMove when it is no longer to be confirmed.
    """
    _of_oneself(device.user, actor)
    user = User.objects.select_for_update().get(pk=device.user_id)
    found = SecondFactor.objects.select_for_update().filter(pk=device.pk, confirmed=False).first()
    if found is None:
        raise InvalidMove("This authenticator was set up or replaced already.", source="gone", target="confirmed")
    if not found.verify_token("".join(code.split())):
        return None
    SecondFactor.objects.filter(user=user).exclude(pk=found.pk).delete()
    found.confirmed = True
    found.save(update_fields=["confirmed"])
    codes = _write_sheet(user)
    sessions.end_all(user, actor=actor, kept=kept)
    audit.record(actor, "user.second_factor_confirmed", user)
    return codes


@transaction.atomic
def give(user: User, *, actor: Actor) -> tuple[SecondFactor, list[str]]:
    """An authenticator that counts at once, and ten one-use codes: for a user that no person enrols (the demo's)."""
    actor.require("tenants.administer")
    if is_set_up(user):
        raise BadInput(f"{user} has a second factor already.")
    device = SecondFactor.new(user, confirmed=True)
    device.save()
    codes = _write_sheet(user)
    audit.record(actor, "user.second_factor_given", user)
    return device, codes


@transaction.atomic
def new_codes(user: User, *, actor: Actor, kept: str = "") -> list[str]:
    """Ten new one-use codes in the place of the old ones, shown once. Every session but `kept` ends."""
    _of_oneself(user, actor)
    user = User.objects.select_for_update().get(pk=user.pk)
    codes = _write_sheet(user)
    sessions.end_all(user, actor=actor, kept=kept)
    audit.record(actor, "user.recovery_codes_renewed", user)
    return codes


def forget(user: User, *, actor: Actor) -> None:
    """No device of the person counts any more; part of users.renew_second_factor."""
    actor.require("tenants.administer")
    SecondFactor.objects.filter(user=user).delete()
    RecoverySheet.objects.filter(user=user).delete()


def _write_sheet(user: User) -> list[str]:
    RecoverySheet.objects.filter(user=user).delete()
    sheet = RecoverySheet(user=user, name="One-use codes")
    codes = sheet.write()
    sheet.save()
    return codes


def _of_oneself(user: User, actor: Actor) -> None:
    if actor.user_id != user.pk:
        raise BadInput("Only a person's own second factor can be set up.")
