"""What can go wrong, as sentences for the operator and codes for machines.

Every error a service raises is an OutreachError: `str(error)` says what was tried,
what stood in the way and what to do; `code` and `details` are stable for the API.
"""

from __future__ import annotations


class OutreachError(Exception):
    """A refusal or failure that a person can understand and act on."""

    code, http_status = "error", 400

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.details = details


class BadInput(OutreachError):
    """What was given can't be used; the message names the place and the remedy."""

    code, http_status = "bad_input", 400


class Unknown(OutreachError):
    """Nobody known asks: no key, or one that does not hold (any more, or from there)."""

    code, http_status = "unknown_key", 401


class NotAllowed(OutreachError):
    """The actor lacks the permission."""

    code, http_status = "not_allowed", 403


class Missing(OutreachError):
    """There is no such object, or none that the actor may know of."""

    code, http_status = "missing", 404


class InvalidMove(OutreachError):
    """The object is not in a state that allows this."""

    code, http_status = "invalid_move", 409


class NotReady(OutreachError):
    """Something has to be filled in first; `missing` lists it, one sentence each."""

    code, http_status = "not_ready", 409

    def __init__(self, message: str, missing: list[str], **details: object) -> None:
        super().__init__(message, missing=missing, **details)
        self.missing = missing


class NeedsApproval(OutreachError):
    """A second person has to agree first; `act`, `subject_id` and `terms` say to what."""

    code, http_status = "approval_needed", 409


class Unavailable(OutreachError):
    """A host or service we depend on can't be reached or may not be used now."""

    code, http_status = "unavailable", 503


class TooMany(OutreachError):
    """Somebody did this as often as an hour allows; the message says when it goes on."""

    code, http_status = "too_many", 429
