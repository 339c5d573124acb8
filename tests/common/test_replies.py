"""What answers mean: made-up answers with exact verdicts, and real bounces against their recorded outcomes."""

import email
import json
import os
import re
import time
from pathlib import Path

import pytest

from outreach.common import replies
from outreach.common.replies import Verdict, classify

CORPUS = Path(os.environ.get("OUTREACH_CORPORA", Path(__file__).parents[3] / "shared" / "corpora")) / "bounces"


@pytest.mark.parametrize(
    ("code", "enhanced", "text", "reason"),
    [
        (550, "5.1.1", "", "userunknown"),
        (550, "5.1.2", "", "hostunknown"),
        (550, "5.1.6", "", "hasmoved"),
        (556, "5.1.10", "", "notaccept"),
        (550, "5.1.1", "<a@b.cd>: Recipient address rejected: User unknown in virtual mailbox table", "userunknown"),
        (550, "5.1.1", "User unknown; see https://spam.example/blocked?policy", "userunknown"),
        (550, None, "5.1.1 sorry, no mailbox here by that name", "userunknown"),
        (550, None, "No such user here", "userunknown"),
        (554, None, "delivery error: dd This user doesn't have a yahoo.com account (a@yahoo.com) [0]", "userunknown"),
        (
            550,
            None,
            "Message was not accepted -- invalid mailbox. Local mailbox a@b.ru is unavailable: user not found",
            "userunknown",
        ),
        (550, "5.4.1", "[a@b.cd]: Recipient address rejected: Access denied. AS(201806281)", "userunknown"),
        (550, "5.5.0", "Requested action not taken: mailbox unavailable", "userunknown"),
        (0, "5.1.1", "user unknown", "userunknown"),
        (
            500,
            "4.0.0",
            "The domain b.cd doesn't receive email according to the administrator: returned Null MX",
            "notaccept",
        ),
    ],
)
def test_an_address_that_is_not_there_is_hard(code, enhanced, text, reason):
    assert classify(code, enhanced, text) == Verdict("hard", reason, None, True, None)


@pytest.mark.parametrize(
    ("code", "enhanced", "text", "reason"),
    [
        (550, "5.2.2", "", "mailboxfull"),
        (552, "5.1.1", "mailbox full", "mailboxfull"),
        (552, "5.2.2", "The email account that you tried to reach is over quota", "mailboxfull"),
        (550, "5.2.1", "The email account that you tried to reach is disabled.", "suspend"),
        (550, "5.7.1", "Recipient address rejected: User unknown", "filtered"),
        (550, "4.4.7", "QUEUE.Expired; message expired", "expired"),
        (552, "5.3.4", "Message too big", "mesgtoobig"),
        (552, "5.2.3", "Message size exceeds limit", "exceedlimit"),
        (554, None, "Transaction failed", "systemerror"),
        (421, None, "Service not available, closing transmission channel", "systemerror"),
        (421, "4.3.2", "shutting down", "systemerror"),
        (450, "4.1.1", "user unknown", "userunknown"),
        (451, None, "", "undefined"),
        (0, "4.4.1", "", "expired"),
    ],
)
def test_what_may_pass_is_soft_and_suppresses_nobody(code, enhanced, text, reason):
    assert classify(code, enhanced, text) == Verdict("soft", reason, None, True, None)


@pytest.mark.parametrize(
    ("code", "enhanced", "text", "reason"),
    [
        (554, "5.7.1", "", "policyviolation"),
        (550, "5.7.1", "Your IP address has been blocked", "blocked"),
        (550, "5.7.606", "Access denied, banned sending IP", "blocked"),
        (
            550,
            "5.7.515",
            "Access denied, sending domain does not meet the required authentication level",
            "authfailure",
        ),
        (550, "5.7.26", "This mail is unauthenticated, which poses a security risk", "authfailure"),
        (550, "5.7.25", "", "requireptr"),
        (550, "5.7.1", "Relay access denied", "norelaying"),
        (553, "5.1.8", "Domain of sender address a@b.cd does not exist", "rejected"),
        (550, "5.1.1", "Sender verify failed, user unknown", "rejected"),
        (550, None, "Virus Detected; Content Rejected", "virusdetected"),
        (550, None, "SC-001 (COL004) Unfortunately, messages from 192.0.2.1 weren't sent.", "blocked"),
        (550, "5.2.1", "The user you are trying to contact is receiving mail at a rate that", "speeding"),
        (421, "5.7.32", "From header is not aligned", "authfailure"),  # the basic code decides: not final
        (454, "4.7.0", "Too many login attempts, please try again later.", "speeding"),
        (454, "4.7.0", "TLS not available due to temporary reason", "failedstarttls"),
        (503, None, "bad sequence of commands", "syntaxerror"),
    ],
)
def test_what_is_our_own_fault_is_never_the_recipients(code, enhanced, text, reason):
    assert classify(code, enhanced, text) == Verdict("sender", reason, None, False, None)


@pytest.mark.parametrize(
    ("code", "enhanced", "text", "stop"),
    [
        (432, "4.3.2", "Concurrent connections limit exceeded.", "mailbox"),
        (554, "5.2.0", "STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process", "mailbox"),
        (550, "5.4.5", "Daily user sending limit exceeded.", "mailbox"),
        (550, "5.4.5", "", "mailbox"),
        (550, None, "5.4.5 Daily SMTP relay limit exceeded for user", "mailbox"),
        (534, "5.7.9", "Application-specific password required", "credential"),
        (535, "5.7.8", "Username and Password not accepted", "credential"),
        (535, None, "authentication failed", "credential"),
        (535, "5.7.139", "Authentication unsuccessful, the request did not meet the criteria", "organisation"),
        (535, None, "invalid_grant: AADSTS65001", "organisation"),
        (550, "5.7.60", "SMTP; Client does not have permissions to send as this sender", "mailbox"),
        (550, "5.1.8", "Access denied, bad outbound sender.", "mailbox"),
        (550, "5.7.705", "Access denied, tenant has exceeded threshold", "organisation"),
        (550, "5.7.708", "Access denied, traffic not accepted from this IP", "organisation"),
        (550, "5.7.750", "Service unavailable. Client blocked from sending from unregistered domains", "organisation"),
        (554, None, "Message rejected: Sending paused for this account.", "account"),
        (421, "4.7.28", "Our system has detected an unusual rate of unsolicited mail", "domain"),
        (450, "4.7.28", "", "domain"),
        (421, "4.7.0", "[TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume", "domain"),
        (421, None, "RP-001 (COL004) Unfortunately, some messages from 192.0.2.1 weren't sent", "domain"),
    ],
)
def test_an_answer_of_the_mailbox_host_stops_what_the_table_names(code, enhanced, text, stop):
    verdict = classify(code, enhanced, text)

    assert (verdict.kind, verdict.stop, verdict.about_recipient) == ("sender", stop, False)


@pytest.mark.parametrize(
    ("code", "enhanced", "text"),
    [(550, None, ""), (550, "5.0.0", "rejected"), (554, "5.0.0", ""), (550, None, "Requested action not taken")],
)
def test_a_refusal_without_a_known_cause_is_unknown_and_suppresses_nobody(code, enhanced, text):
    assert classify(code, enhanced, text) == Verdict("unknown", "undefined", None, True, None)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("4.7.1 Greylisted, try again in 300 seconds", 300),
        ("Greylisting in action, please come back in 00:04:59", 299),
        ("<a@b.cd>: Recipient address rejected: Greylisted for 5 minutes", 300),
        ("greylisted, retry in 5 mins", 300),
        ("Please try again after 2 hours", 7200),
        ("wait 90s", 90),
        ("try again in 99999 hours", 86_400),
        ("Greylisted, see http://postgrey.example/help/3600 seconds.html", None),
        ("connection timed out after 30 seconds", None),
        ("try again later", None),
    ],
)
def test_a_deferral_is_not_tried_before_the_stated_time(text, seconds):
    verdict = classify(450, "4.2.0", text)

    assert (verdict.kind, verdict.retry_after_seconds) == ("soft", seconds)


def test_every_reason_is_of_one_class():
    named = {reason for reason, _ in (*replies.TEXTS, *replies.NO_SUCH_PERSON)} | set(replies.CODES.values())

    assert named <= replies.HARD | replies.SOFT | replies.SENDER
    assert not replies.HARD & replies.SOFT
    assert not (replies.HARD | replies.SOFT) & replies.SENDER


@pytest.mark.parametrize(
    "word", ["user ", "mailbox full ", "<", "over over ", "http://", "550-5.1.1 ", "a@", "daily user ", "\0"]
)
def test_a_hostile_answer_takes_no_time(word):
    began = time.thread_time()
    classify(550, None, word * 1_000_000)

    assert time.thread_time() - began < 0.5


# --- Real bounces. The corpus stays outside of the project. ------------------------------------------------------


def reports():
    """Yield (name, code, status, diagnostic text, outcome) of every failed recipient with a diagnostic text."""
    for name, recipients in json.loads((CORPUS / "expected.json").read_text()).items():
        message = email.message_from_bytes((CORPUS / name).read_bytes())
        for part in message.walk():
            if part.get_content_type() != "message/delivery-status":
                continue
            for fields in part.get_payload():
                diagnostic = fields.get("Diagnostic-Code")
                address = (fields.get("Final-Recipient") or "").rpartition(";")[2].strip().lower()
                known = [known for known in recipients if known["recipient"].lower() == address]
                if (fields.get("Action") or "").strip().lower() != "failed" or not diagnostic or not known:
                    continue
                text = diagnostic.partition(";")[2] if ";" in diagnostic[:40] else diagnostic
                code = re.match(r"\s*([245]\d\d)\b", text)
                yield name, int(code[1]) if code else 500, fields.get("Status"), text, known[0]["outcome"]


def test_real_bounces_suppress_whom_they_should_and_nobody_else(record_property):
    if not (CORPUS / "expected.json").exists():
        if os.environ.get("CI"):
            pytest.fail(f"the corpus of bounces is not at {CORPUS}; set OUTREACH_CORPORA")
        pytest.skip(f"no corpus of bounces at {CORPUS}")
    hard = found = wrong = same = total = 0
    false_alarms = []
    for name, code, status, text, outcome in reports():
        verdict = classify(code, status, text)
        total += 1
        hard += outcome == "hard"
        found += outcome == "hard" == verdict.kind
        wrong += outcome != "hard" == verdict.kind
        same += outcome == verdict.kind
        if outcome != "hard" == verdict.kind:
            false_alarms.append((name, verdict.reason, text))
    record_property("hard_found", f"{found}/{hard}")
    record_property("hard_wrong", f"{wrong}/{total - hard}")
    record_property("same_kind", f"{same}/{total}")

    assert total >= 80
    assert found / hard >= 0.9, f"{found} of {hard} hard bounces found"
    assert wrong <= 1, false_alarms  # one host says "unknown user" for a filter, word for word like the others
    assert same / total >= 0.9, f"{same} of {total} have the recorded kind"
