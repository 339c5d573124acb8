"""Invitations: a link that somebody hands over, and the person who joins by it."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils.timezone import now

from outreach.common.errors import BadInput, InvalidMove, Missing, NotAllowed
from tenants import permissions
from tenants.models import Invitation, Membership, User
from tenants.services import actors, audit, members, users
from tenants.services.actors import SYSTEM, Actor

DAYS = 7  # how long a link works, at most
TOKEN_BYTES = 32
NO_INVITATION = "This link does not work: it was used, taken back, has run out, or never was one. Ask for a new one."


@transaction.atomic
def invite(
    email: str, role: str, tenant_id: int | None, *, actor: Actor, expires_at: datetime | None = None
) -> tuple[Invitation, str]:
    """Ask the person with that address to take a role; return the invitation and the token of its link.

    The token is shown this once and kept nowhere; nothing is mailed, the inviter hands the link over. It works
    once, within a week, and never longer than the membership, which ends at `expires_at`. An open invitation
    of the same address for the same role there is replaced. Raises BadInput that names the field, NotAllowed.
    """
    email = users.address(email)
    members.check(actor, role, tenant_id, expires_at)
    person = User.objects.filter(email__iexact=email).first()
    if person is not None and person.pk == actor.user_id:
        raise NotAllowed("You can't invite yourself; somebody else has to.")
    token = secrets.token_urlsafe(TOKEN_BYTES)
    until = now() + timedelta(days=DAYS)
    with members.reaching(tenant_id):
        if person is not None and _holds(person, role, tenant_id):
            raise BadInput(f"{email} is {permissions.ROLE_NAMES[role]} there already.", field="email")
        same = Invitation.objects.filter(email__iexact=email, role=role, tenant=tenant_id)
        same.filter(accepted_at=None, revoked_at=None).update(revoked_at=now())
        made = Invitation.objects.create(
            email=email, role=role, tenant_id=tenant_id, membership_expires_at=expires_at, token_hash=_hash(token),
            invited_by_id=actor.user_id, expires_at=until if expires_at is None else min(until, expires_at),
        )  # fmt: skip
        audit.record(actor, "invitation.made", made, role=role)
    return made, token


@transaction.atomic
def revoke(invitation: Invitation, *, actor: Actor) -> Invitation:
    """The link works no longer. Raises InvalidMove when the invitation is over, NotAllowed."""
    if not members.may_give(actor, invitation.role, invitation.tenant_id):
        raise NotAllowed(f"{actor.label} may not take this invitation back.")
    with members.reaching(invitation.tenant_id):
        invitation = Invitation.objects.select_for_update().get(pk=invitation.pk)
        if invitation.accepted_at or invitation.revoked_at:
            was = "accepted" if invitation.accepted_at else "taken back"
            raise InvalidMove(f"This invitation was {was} already.", source=was, target="revoked")
        invitation.revoked_at = now()
        invitation.save(update_fields=["revoked_at"])
        audit.record(actor, "invitation.revoked", invitation)
    return invitation


def look(token: str) -> Invitation:
    """The open invitation of a link, its tenant loaded. Raises Missing, the same for every link that does not work."""
    with connection.cursor() as cursor:  # no tenant is in scope yet: the function gives away two ids, for a right token
        cursor.execute("SELECT id, tenant_id FROM app_invitation_of_token(%s)", [_hash(token)])
        found = cursor.fetchone()
    if found is None:
        raise Missing(NO_INVITATION)
    with members.reaching(found[1]):
        return Invitation.objects.select_related("tenant").get(pk=found[0])


def person_of(invitation: Invitation) -> User | None:
    """Who has the invited address already, if anybody."""
    return User.objects.filter(email__iexact=invitation.email).first()


@transaction.atomic
def accept(token: str, password: str = "", *, actor: Actor, kept: str = "") -> User:
    """The invited person holds the role from now on, and the link works no longer.

    `actor` is whoever opened the link. Somebody new gets an account with that password, and sets up a second
    factor at the first sign-in. A person with an account has to be signed in by exactly that address; their
    other sessions than `kept` end. The role is given in the inviter's name, by what the
    inviter may give now: an invitation of somebody who left or was demoted is worth nothing.
    Raises Missing, NotAllowed, BadInput that names the password.
    """
    seen = look(token)
    with members.reaching(seen.tenant_id):
        invitation = Invitation.objects.select_for_update(of=("self",)).get(pk=seen.pk)
        if invitation.accepted_at or invitation.revoked_at or invitation.expires_at <= now():
            raise Missing(NO_INVITATION)
        inviter = actors.of_user(invitation.invited_by) if invitation.invited_by else SYSTEM
        person = person_of(invitation)
        if actor.user_id != (person and person.pk):
            raise NotAllowed(f"This invitation is for {invitation.email}; sign in by that address and open it again.")
        if not members.may_give(inviter, invitation.role, invitation.tenant_id):
            raise Missing(NO_INVITATION)
        if person is None:
            _check_password(password, invitation.email)
            person = users.enrol(invitation.email, password, actor=inviter)
        if not _holds(person, invitation.role, invitation.tenant_id):
            members.grant(
                person, invitation.role, invitation.tenant_id,
                actor=inviter, expires_at=invitation.membership_expires_at, kept=kept,
            )  # fmt: skip
        invitation.accepted_at, invitation.accepted_by = now(), person
        invitation.save(update_fields=["accepted_at", "accepted_by"])
        audit.record(actor, "invitation.accepted", invitation, user_id=person.pk, role=invitation.role)
    return person


def _holds(user: User, role: str, tenant_id: int | None) -> bool:
    return Membership.objects.holding().filter(user=user, role=role, tenant=tenant_id).exists()


def _check_password(password: str, email: str) -> None:
    try:
        validate_password(password, User(email=email))
    except ValidationError as error:
        raise BadInput(" ".join(error.messages), field="password") from error


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
