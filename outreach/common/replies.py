"""What an SMTP answer means: about the person, about us, or about neither.

One reading of basic code, enhanced code (RFC 3463) and text, used by the sender for live answers and by the
bounce reader for reports. The basic code decides whether the answer is final, also where the enhanced code
disagrees (receivers answer 421 with 5.7.32). Text that is known decides before an enhanced code, since
hosts put 5.1.1 on full mailboxes and 5.2.1 on rate limits; a final refusal without either is `unknown` and
never suppresses anybody.

Reason names follow the vocabulary of the Sisimai project.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from outreach.common.reply_texts import (
    ACCOUNT_OFF,
    DAILY_QUOTA,
    NETWORK,
    NO_SUCH_PERSON,
    NOT_IN_DIRECTORY,
    ORGANISATION,
    SES_THROTTLED,
    SYSTEM,
    TEXTS,
    THERE_AFTER_ALL,
    UNSOLICITED_RATE,
)

Kind = Literal["hard", "soft", "sender", "unknown"]
Stop = Literal["mailbox", "credential", "account", "organisation", "domain"]

HARD = frozenset({"userunknown", "hostunknown", "hasmoved", "notaccept"})
SOFT = frozenset(
    {
        "mailboxfull",
        "suspend",
        "filtered",
        "exceedlimit",
        "mesgtoobig",
        "expired",
        "networkerror",
        "systemerror",
    }
    | {"systemfull", "mailererror", "toomanyconn", "onhold", "undefined"}
)
SENDER = frozenset(
    {"blocked", "rejected", "policyviolation", "authfailure", "requireptr", "spamdetected", "securityerror"}
    | {"badreputation", "norelaying", "notcompliantrfc", "contenterror", "virusdetected", "syntaxerror"}
    | {"speeding", "failedstarttls"}
)
MAX_CHARS = 4000
MAX_RETRY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Verdict:
    """kind: hard (suppress), soft, sender (our fault, never the recipient's), unknown (final, nobody knows
    why).

    stop: what must not send on, by the table of mailbox hosts. about_recipient: False only for `sender`.
    retry_after_seconds: the wait that the answer states, None when it states none.
    """

    kind: Kind
    reason: str
    stop: Stop | None
    about_recipient: bool
    retry_after_seconds: int | None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer taken apart: class, subject, detail; the text as one line without links and addresses."""

    code: int
    enhanced: tuple[int, int, int] | None
    text: str

    @property
    def final(self) -> bool:
        return self.code >= 500 if self.code else bool(self.enhanced and self.enhanced[0] == 5)

    @property
    def detail(self) -> tuple[int, int] | None:
        """Subject and detail of the enhanced code; its class counts for nothing beside the basic code."""
        return (self.enhanced[1], self.enhanced[2]) if self.enhanced else None


def classify(code: int, enhanced: str | None, text: str) -> Verdict:
    """Return what an answer means.

    code: the basic code, 0 when there is none (then the class of the enhanced code decides; the caller
    passes 500 for a report that says "failed"). enhanced: as in "5.1.1", None when there is none; a vaguer
    one than the text has (5.0.0, 4.4.7) gives way to the text's. text: the rest of the answer, lines joined
    in any way.
    """
    text = text[:MAX_CHARS]
    answer = Answer(code, best_enhanced(enhanced, text), plain(text))
    wait = retry_after(answer.text) if not answer.final else None
    stopped = host_stop(answer)
    if stopped:
        reason, stop = stopped
        return Verdict("sender", reason, stop, about_recipient=False, retry_after_seconds=wait)
    known = known_text(answer) or known_code(answer)
    if known is None:
        kind: Kind = "unknown" if answer.final else "soft"
        return Verdict(kind, "undefined", None, about_recipient=True, retry_after_seconds=wait)
    if known in SENDER:
        return Verdict("sender", known, None, about_recipient=False, retry_after_seconds=wait)
    hard = known in HARD and answer.final
    return Verdict("hard" if hard else "soft", known, None, about_recipient=True, retry_after_seconds=wait)


# --- Taking an answer apart ---------------------------------------------------------------------

ENHANCED = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")
VAGUE = {(0, 0), (4, 7)}
CONTINUED = re.compile(r"(?:^|(?<=\s))[245]\d\d[ -](?:#?[245]\.\d{1,3}\.\d{1,3}(?=\s))?")
NOISE = re.compile(r"https?://\S*|<[^<>]{0,320}>|\S*@\S*")


def best_enhanced(enhanced: str | None, text: str) -> tuple[int, int, int] | None:
    given, written = (ENHANCED.search(source) for source in (enhanced or "", text[:200]))
    best = given or written
    if given and written and (int(given[2]), int(given[3])) in VAGUE:
        best = written
    return (int(best[1]), int(best[2]), int(best[3])) if best else None


def plain(text: str) -> str:
    """Return one line in lower case, without addresses, links, repeated codes: those hold any word."""
    text = NOISE.sub(" ", " ".join(text.split()))
    return " ".join(CONTINUED.sub(" ", text).lower().split())


SECONDS = {"s": 1, "m": 60, "h": 3600}
WAIT = re.compile(
    r"(?:\b(?:in|after|within|wait|for|another|least|is|of)|[(=:])\s?(?:about |at least )?"
    r"(\d{1,5})\s?(s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?|h(?:ours?)?)\b"
)
TIMED_OUT = re.compile(r"timed? ?-?out")
CLOCK = re.compile(r"\b(?:in|after)\s+(\d{1,2}):(\d\d):(\d\d)\b")


def retry_after(text: str) -> int | None:
    """Return the seconds that a deferral asks to wait, at most a day; None when it says nothing."""
    clock = CLOCK.search(text)
    if clock:
        return min(int(clock[1]) * 3600 + int(clock[2]) * 60 + int(clock[3]), MAX_RETRY_SECONDS)
    stated = None if TIMED_OUT.search(text) else WAIT.search(text)
    return min(int(stated[1]) * SECONDS[stated[2][0]], MAX_RETRY_SECONDS) if stated else None


# --- Answers of mailbox hosts that stop something of ours -----------------------------------------


ORGANISATION_CODES = frozenset({(7, 705), (7, 708), (7, 750)})
NOT_THERE = frozenset({(1, 1), (1, 2), (1, 6), (1, 10)})


def host_stop(answer: Answer) -> tuple[str, Stop] | None:
    """Return (reason, what to stop) for an answer that concerns us wherever the mail goes, else None."""
    code, detail, text = answer.code, answer.detail, answer.text
    if code in (530, 534, 535, 538) or ORGANISATION.search(text):
        whole = detail == (7, 139) or ORGANISATION.search(text)
        return "securityerror", "organisation" if whole else "credential"
    if detail in ORGANISATION_CODES:
        return "blocked", "organisation"
    if detail == (7, 60) and answer.final:
        return "rejected", "mailbox"
    if detail == (1, 8) and code == 550:
        return "blocked", "mailbox"
    if code == 432 or (detail == (3, 2) and "concurrent connections" in text):
        return "speeding", "mailbox"
    if SES_THROTTLED.search(text):
        return "speeding", "account"
    if detail == (4, 5) or DAILY_QUOTA.search(text):
        return "speeding", "mailbox"
    if ACCOUNT_OFF.search(text):
        return "blocked", "account"
    if detail == (7, 28) or (code == 421 and UNSOLICITED_RATE.search(text)):
        return "speeding", "domain"
    return None


# --- Words --------------------------------------------------------------------------------------


def known_text(answer: Answer) -> str | None:
    """Return the reason that the words give, None when they are not known."""
    text, detail = answer.text, answer.detail
    if detail and detail[0] == 7 and detail in CODES:
        return CODES[detail]  # these name the missing proof more exactly than any text
    person = next((reason for reason, pattern in NO_SUCH_PERSON if pattern.search(text)), None)
    if person == "hostunknown" and answer.enhanced and answer.enhanced[0] == 4:
        return "networkerror"  # a look-up that failed for now, given up by age
    if person and detail in NOT_THERE and not THERE_AFTER_ALL.search(text):
        return person
    if detail == (4, 1) and NOT_IN_DIRECTORY.search(text):
        return "userunknown"
    if detail == (1, 0) and "address rejected" in text and "sender" not in text:
        return "userunknown"
    reason = next((reason for reason, pattern in TEXTS if pattern.search(text)), None)
    if reason:
        return "exceedlimit" if reason == "mesgtoobig" and detail == (2, 3) else reason
    if person == "userunknown" and detail and (detail in ((2, 0), (2, 1)) or detail[0] == 7):
        return "filtered"  # the code says that the mailbox is there, and a filter or its host hides it
    if person:
        return person
    if NETWORK.search(text):
        return "networkerror"
    return "systemerror" if SYSTEM.search(text) else None


# --- Enhanced codes (RFC 3463 and the IANA registry), where the words are not known ------------------------

CODES: dict[tuple[int, int], str] = {
    **{(1, 1): "userunknown", (1, 2): "hostunknown", (1, 6): "hasmoved", (1, 10): "notaccept"},
    **{(1, 7): "rejected", (1, 8): "rejected", (1, 9): "syntaxerror"},
    **{(2, 0): "filtered", (2, 1): "suspend", (2, 2): "mailboxfull", (2, 3): "exceedlimit"},
    (2, 4): "filtered",
    **dict.fromkeys(((3, 0), (3, 2), (3, 3), (3, 5)), "systemerror"),
    **{(3, 1): "systemfull", (3, 4): "mesgtoobig"},
    **dict.fromkeys(((4, 2), (4, 3), (4, 4), (4, 6)), "networkerror"),
    **dict.fromkeys(((4, 1), (4, 7)), "expired"),
    **dict.fromkeys(((5, 1), (5, 2), (5, 4), (5, 5)), "syntaxerror"),
    (5, 3): "toomanyconn",
    **dict.fromkeys(((6, 0), (6, 1), (6, 2), (6, 3), (6, 7)), "contenterror"),
    **dict.fromkeys(((7, 10), (7, 29)), "failedstarttls"),
    (7, 25): "requireptr",
    (7, 23): "requireptr",
    **dict.fromkeys(((7, 20), (7, 21), (7, 22), (7, 24), (7, 26), (7, 27)), "authfailure"),
    **dict.fromkeys(((7, 30), (7, 31), (7, 32), (7, 40), (7, 509), (7, 515)), "authfailure"),
}


def known_code(answer: Answer) -> str | None:
    """Return the reason that the enhanced code gives; every other x.7.y is policy."""
    detail = answer.detail
    if detail is None:
        return None
    if detail[0] == 7:
        return CODES.get(detail, "blocked" if 600 <= detail[1] < 700 else "policyviolation")
    return CODES.get(detail)
