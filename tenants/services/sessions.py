"""Sessions of people: where they are signed in, how long that lasts, and what ends it."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils.timezone import now

from outreach.common import counting
from outreach.common.errors import InvalidMove, NotAllowed
from tenants.models import SignedIn, User
from tenants.models.sessions import key_hash
from tenants.services import audit
from tenants.services.actors import Actor

WRITTEN_EVERY = timedelta(minutes=1)
KEPT = timedelta(days=90)  # addresses and browsers are personal data; the audit keeps who signed in when
HALF_SECONDS = 900  # from password to second factor, for who sets one up


@transaction.atomic
def begin(user: User, session_key: str, *, actor: Actor, address: str | None, browser: str) -> SignedIn:
    """A session that begins. `address` and `browser` are as the request said; the person's old rows go."""
    at = now()
    SignedIn.objects.filter(user=user, seen_at__lt=at - KEPT).delete()
    made = SignedIn.objects.create(
        user=user, key_hash=key_hash(session_key), address=address, browser=browser[:200], created_at=at, seen_at=at
    )
    audit.record(actor, "session.begun", made, user_id=user.pk)
    return made


def refused(account: str, *, actor: Actor, locked_seconds: int) -> None:
    """Somebody tried to sign in and could not; the account stands in the audit as a keyed hash.

    Beyond MOST_REFUSALS a minute no more are written, so that a flood of guesses does not become one of entries.
    """
    if counting.count("sign-in refused") > audit.MOST_REFUSALS:
        return
    with transaction.atomic():
        audit.record(actor, "session.refused", User, account=account, locked_seconds=locked_seconds or None)


def look(session_key: str, user_id: int, *, verified: bool) -> SignedIn | None:
    """The session's row, if it may go on: neither ended, nor idle too long, nor too old.

    Without the second factor it lives a quarter of an hour, enough to set one up.
    """
    row = SignedIn.objects.open().of_key(session_key).filter(user_id=user_id).first()
    if row is None:
        return None
    at = now()
    longest = settings.SESSION_LONGEST_SECONDS if verified else HALF_SECONDS
    too_old = at - row.created_at >= timedelta(seconds=longest)
    idle = at - row.seen_at >= timedelta(seconds=settings.SESSION_IDLE_SECONDS)
    return None if too_old or idle else row


def touch(row: SignedIn) -> None:
    """Somebody is there; written at most once a minute."""
    at = now()
    if at - row.seen_at >= WRITTEN_EVERY:
        SignedIn.objects.filter(pk=row.pk).update(seen_at=at)


def move(before: str, after: str) -> None:
    """The session goes on under a new key."""
    SignedIn.objects.of_key(before).update(key_hash=key_hash(after))


def close(session_key: str) -> None:
    """The session is over by itself: signed out, or past its limits."""
    SignedIn.objects.open().of_key(session_key).update(ended_at=now())


def open_of(user_id: int) -> list[SignedIn]:
    """Where this person is signed in, the newest first; what ran out and was not seen since is left out."""
    at = now()
    return list(
        SignedIn.objects.open().filter(
            user_id=user_id,
            created_at__gt=at - timedelta(seconds=settings.SESSION_LONGEST_SECONDS),
            seen_at__gt=at - timedelta(seconds=settings.SESSION_IDLE_SECONDS),
        )
    )


@transaction.atomic
def end(row: SignedIn, *, actor: Actor) -> SignedIn:
    """The session ends with its next request: one's own, or as platform admin anybody's. Raises InvalidMove."""
    if actor.user_id != row.user_id and not actor.can("tenants.administer"):
        raise NotAllowed(f"{actor.label} may not end this session.")
    if not SignedIn.objects.open().filter(pk=row.pk).update(ended_at=now()):
        raise InvalidMove("This session has ended already.", source="ended", target="ended")
    row.refresh_from_db()
    audit.record(actor, "session.ended", row, user_id=row.user_id)
    return row


@transaction.atomic
def end_others(user: User, session_key: str, *, actor: Actor) -> int:
    """Every session of the person but this one ends with its next request; return how many."""
    if actor.user_id != user.pk:
        raise NotAllowed(f"{actor.label} may not end these sessions.")
    others = SignedIn.objects.open().filter(user=user).exclude(key_hash=key_hash(session_key))
    ended = others.update(ended_at=now())
    audit.record(actor, "session.others_ended", user, sessions=ended)
    return ended


@transaction.atomic
def end_all(user: User, *, actor: Actor, kept: str = "") -> User:
    """Every session of the person ends with its next request.

    Services that change what a person may do, or by what they sign in, call this in their transaction. The
    session with the key `kept`, that of a person who changes something of their own, may go on if its door
    renews it (tenants.sign_in.keep_session).
    """
    User.objects.filter(pk=user.pk).update(session_epoch=F("session_epoch") + 1)
    SignedIn.objects.open().filter(user=user).exclude(key_hash=key_hash(kept)).update(ended_at=now())
    return user


@transaction.atomic
def sign_out(user: User, *, actor: Actor) -> User:
    """A platform admin ends every session of a person, who may sign in again."""
    actor.require("tenants.administer")
    end_all(user, actor=actor)
    audit.record(actor, "user.signed_out", user)
    return user
