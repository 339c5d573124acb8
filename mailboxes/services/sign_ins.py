"""Whether mailboxes can sign in where they leave and where they are read, tried with the credentials they have.

Nothing is tried inside a transaction. A host sees few sign-ins at a time, whoever tests, and of one credential no
more than MOST_TRIES failed ones, ever: hosts lock accounts for that, and count it against whoever tries.
"""

from __future__ import annotations

import functools
import hashlib
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from mailboxes.models import Mailbox, ProviderAccount, SignInTest
from mailboxes.models.mailboxes import MAILBOX_PASSWORD
from mailboxes.models.sign_ins import MOST_TRIES
from mailboxes.services import mailboxes, sign_in_sql
from mailboxes.transports import imap
from mailboxes.transports.base import PermanentSendError, SendError
from mailboxes.transports.smtp import Login, SmtpTransport, Timeouts
from outreach.common import connect, repeating
from outreach.common.draining import stopping
from outreach.common.hashing import Hasher
from outreach.common.sealing import SealBroken
from tenants.models import Tenant
from tenants.services import audit, sealing
from tenants.services.actors import Actor

CLAIM_SECONDS = 900  # longer than all phases of a try together
PLACE_SECONDS, RENEW_SECONDS = 60, 15
LOOK_SECONDS = 1.0  # for places that others held
STARTTLS_PORT = 143
TEXT = 500
SHUT = "The stored password can't be opened; write it again."
Result, Door = SignInTest.Result, SignInTest.Door


@dataclass(frozen=True, slots=True)
class Try:
    """One sign-in to be made, as threads see it."""

    test_id: int
    host: str
    door: str
    credential: bytes = field(repr=False)
    login: Login = field(repr=False)


@dataclass(slots=True)
class Report:
    """How far the tests of an import are: doors by result, and mailboxes that were held."""

    total: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    held: int = 0
    waits_for_host: bool = False

    @property
    def tested(self) -> int:
        return sum(n for result, n in self.counts.items() if result not in (Result.WAITING, Result.RUNNING))

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return {"total": self.total, **{name: self.counts.get(name, 0) for name in Result.values}, "held": self.held}


def want(tenant_id: int, import_id: int, mailbox_ids: Sequence[int]) -> None:
    """Note that these mailboxes are to be tested; part of the import's transaction."""
    values: dict[str, Any] = {"tenant": tenant_id, "import": import_id, "boxes": list(mailbox_ids)}
    with connection.cursor() as cursor:
        cursor.execute(sign_in_sql.WANT, values)


def run(tenant: Tenant, import_id: int, *, actor: Actor) -> Iterator[Report]:
    """Try the sign-ins that an import asked for; yield the same Report as they end. Safe to be called again.

    A mailbox that its host refuses is held (sign_in_failed). What nobody can tell, as for want of an answer, changes
    nothing. Ends early, with the rest waiting, when the process is asked to stop. Raises NotAllowed.
    """
    actor.require("mailboxes.import", tenant)
    actor.require("mailboxes.hold", tenant)
    run = _Run(tenant, import_id, actor)
    try:
        yield from run.work()
    finally:
        run.places.leave()


def problems(tenant: Tenant, import_id: int) -> Iterator[SignInTest]:
    """The tests of an import that did not end well, by mailbox; few in memory at a time."""
    found = SignInTest.objects.filter(tenant=tenant, import_ref=import_id).exclude(result=Result.OK)
    last = 0
    while chunk := list(found.filter(pk__gt=last).select_related("mailbox").order_by("pk")[:1000]):
        yield from chunk
        last = chunk[-1].pk


class _Places:
    """The places at hosts that this process holds; every tester of every tenant takes them from the same rows."""

    def __init__(self) -> None:
        self.holder = uuid.uuid4()
        self._held: dict[str, tuple[int, float]] = {}  # host: how many, until when they count (monotonic)

    def at(self, host: str) -> int:
        """How many sign-ins this process may have under way there."""
        count, until = self._held.get(host, (0, 0.0))
        if time.monotonic() >= until:
            short = hashlib.sha256(host.encode()).hexdigest()[:24]
            names = [f"sign-in {short} {n}" for n in range(settings.SIGN_IN_HOST_CONNECTIONS)]
            with transaction.atomic(durable=True), connection.cursor() as cursor:
                cursor.execute(sign_in_sql.PLACES, {"holder": self.holder, "seconds": PLACE_SECONDS, "names": names})
                count = len(cursor.fetchall())
            self._held[host] = (count, time.monotonic() + (RENEW_SECONDS if count else LOOK_SECONDS))
        return count

    def leave(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(sign_in_sql.LEAVE, {"holder": self.holder})


class _Run:
    def __init__(self, tenant: Tenant, import_id: int, actor: Actor) -> None:
        self.tenant, self.actor, self.report = tenant, actor, Report()
        self.values = {"tenant": tenant.pk, "import": import_id}
        self.places, self.keyring, self.hasher = _Places(), sealing.keyring(), Hasher.parse(settings.HASH_KEY)

    def work(self) -> Iterator[Report]:
        with connection.cursor() as cursor:
            cursor.execute(sign_in_sql.GIVE_BACK, self.values | {"seconds": CLAIM_SECONDS})
        self.count()
        self.report.total = sum(self.report.counts.values())
        with ThreadPoolExecutor(settings.SIGN_IN_CONNECTIONS, "sign-in") as threads:
            under_way: dict[Future[SendError | None], Try] = {}
            while True:
                hosts = {} if stopping.is_set() else self.hosts()
                for job in self.claim(hosts, Counter(job.host for job in under_way.values())):
                    under_way[threads.submit(attempt, job)] = job
                self.report.waits_for_host = bool(hosts) and not under_way
                if not under_way:
                    if not hosts:
                        break
                    time.sleep(LOOK_SECONDS if self.report.waits_for_host else 0)
                    yield self.report
                    continue
                done, _ = wait(under_way, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
                for future in done:
                    self.settle(under_way.pop(future), future.result())
                yield self.report
        self.count()
        counts: dict[str, Any] = {name: self.report.counts.get(name, 0) for name in Result.values}
        facts: dict[str, Any] = {"import_id": self.values["import"], "held": self.report.held, **counts}
        audit.record(self.actor, "mailboxes.sign_ins_tested", self.tenant, **facts)
        yield self.report

    def count(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(sign_in_sql.COUNTS, self.values)
            self.report.counts = dict(cursor.fetchall())

    def hosts(self) -> dict[str, int]:
        """Where tests wait, and how many."""
        with connection.cursor() as cursor:
            cursor.execute(sign_in_sql.HOSTS, self.values)
            return dict(cursor.fetchall())

    def claim(self, hosts: dict[str, int], busy: Counter[str]) -> list[Try]:
        """Take tests in hand, as many as their hosts have places for; each counts as a failed try from now on."""
        room = {host: min(count, self.places.at(host) - busy[host]) for host, count in hosts.items()}
        room = {host: count for host, count in room.items() if count > 0}
        most = settings.SIGN_IN_CONNECTIONS - busy.total()
        if not room or most <= 0:
            return []
        with transaction.atomic(durable=True):
            with connection.cursor() as cursor:
                wanted = {"hosts": list(room), "room": list(room.values()), "most": most}
                cursor.execute(sign_in_sql.NEXT, self.values | wanted)
                ids = [row[0] for row in cursor.fetchall()]
            found = SignInTest.objects.filter(pk__in=ids).select_related("mailbox__home").order_by("pk")
            return [job for test in found if (job := self.begin(test))]

    def begin(self, test: SignInTest) -> Try | None:
        """Mark one test as under way; None where there is nothing to try."""
        login = self.login(test)
        if login is None:
            self.end(test, Result.UNKNOWN, SHUT)
            return None
        credential = self.credential(test, login)
        if bytes(test.credential) != credential:
            test.credential, test.tries = credential, 0  # another password, or another host: it starts anew
        if test.tries >= MOST_TRIES:
            self.end(test, Result.USED_UP, "")
            return None
        test.tries += 1
        test.result, test.text, test.at = Result.RUNNING, "", _now()
        test.save(update_fields=["credential", "tries", "result", "text", "at"])
        return Try(test.pk, test.host, test.door, credential, login)

    def end(self, test: SignInTest, result: str, text: str) -> None:
        test.result, test.text, test.at = result, text[:TEXT], _now()
        test.save(update_fields=["credential", "tries", "result", "text", "at"])
        self.report.counts[result] = self.report.counts.get(result, 0) + 1

    def login(self, test: SignInTest) -> Login | None:
        """Where and as whom; None when the password can't be opened."""
        box, home = test.mailbox, test.mailbox.home
        try:
            place = MAILBOX_PASSWORD.place(box.tenant_id, box.seal_ref)
            password = self.keyring.open(bytes(box.sealed_password), place).decode()
        except SealBroken:
            return None
        host, port, security = home.host, home.port, home.security
        if test.door == Door.IMAP:
            host, port = home.imap_host, home.imap_port
            if security != ProviderAccount.Security.NONE:
                starts = port == STARTTLS_PORT
                security = ProviderAccount.Security.STARTTLS if starts else ProviderAccount.Security.TLS
        return Login(host, port, security, box.username, password, settings.EHLO_NAME, settings.SMTP_ALLOW_LOOPBACK)  # type: ignore[arg-type]

    def credential(self, test: SignInTest, login: Login) -> bytes:
        """A hash under HASH_KEY, other in each row, of what is tried where."""
        parts = ("sign-in", test.mailbox.seal_ref, test.door, login.host, login.username, login.password)
        return self.hasher.derive(*parts)[:16]

    def settle(self, job: Try, failure: SendError | None) -> None:
        result = _settle(job, failure, self)
        if result:
            self.report.counts[result] = self.report.counts.get(result, 0) + 1


@repeating.atomic
def _settle(job: Try, failure: SendError | None, run: _Run) -> str:
    """Write what came of a try, and hold the mailbox that its host refused; "" when somebody else has."""
    test = SignInTest.objects.select_for_update(no_key=True).filter(pk=job.test_id, result=Result.RUNNING).first()
    if test is None or bytes(test.credential) != job.credential:
        return ""
    refused = isinstance(failure, PermanentSendError) and failure.phase == "auth"
    test.result = Result.OK if failure is None else Result.REFUSED if refused else Result.UNKNOWN
    if failure is None:
        test.tries = 0
    elif failure.phase != "auth":  # the host never saw the credential
        test.tries -= 1
    test.text, test.at = ("" if failure is None else str(failure)[:TEXT]), _now()
    test.save(update_fields=["result", "tries", "text", "at"])
    if refused:
        _hold(test, job, run)
    return test.result


def _hold(test: SignInTest, job: Try, run: _Run) -> None:
    """Stop the mailbox, unless it is held already or has got another password meanwhile."""
    box = Mailbox.objects.select_for_update(no_key=True, of=("self",)).select_related("home").get(pk=test.mailbox_id)
    test.mailbox = box
    login = run.login(test)
    if box.hold != Mailbox.Hold.NONE or login is None or run.credential(test, login) != job.credential:
        return
    reason = f"{test.get_door_display()}: {test.text}"[:TEXT]
    mailboxes.set_hold(box, Mailbox.Hold.SIGN_IN_FAILED, actor=run.actor, reason=reason)
    run.report.held += 1


def attempt(job: Try) -> SendError | None:
    """Sign in and out again, in a thread that knows no database; what went wrong, or None."""
    seconds = settings.SIGN_IN_SECONDS
    timeouts = Timeouts(connect=seconds, command=seconds)
    try:
        if job.door == Door.IMAP:
            imap.sign_in(job.login, timeouts)
        else:
            dial = functools.partial(connect.dial, ports=settings.SMTP_PORTS)
            transport = SmtpTransport(job.login, timeouts, dial)
            transport.open()
            transport.close()
    except SendError as error:
        return error
    return None


def _now() -> Any:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]
