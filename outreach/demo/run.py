"""The demo's steps. Each finds out by itself whether it is done, so that an interrupted demo goes on.

Nothing here is a short cut: tenants, mailboxes, contacts and campaigns come in by the commands that an
operator types. Every step closes its database connection, since processes are forked between them.
"""

from __future__ import annotations

import functools
import io
import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeVar

from django.conf import settings
from django.core.management import call_command
from django.db import ProgrammingError, connections
from django.db.models import Count

from campaigns.models import Campaign, Contact, ListEntry, Message
from mailboxes.models import Mailbox, ProviderAccount, SendingDomain
from outreach import embedded
from outreach.common import isolation
from outreach.common.errors import NotReady
from outreach.demo import books, conditions, fleet
from outreach.demo.sink import Book
from outreach.demo.sink_process import SinkProcess
from tenants.models import ApprovalPolicy, Tenant

REFUSE_SHARE, DEFER_SHARE = 0.015, 0.04
SLUGS = [company.slug for company in fleet.COMPANIES]
Result = TypeVar("Result")


def between_forks(step: Callable[..., Result]) -> Callable[..., Result]:
    """Close the connection afterwards: a child that inherits an open one would end the parent's session."""

    @functools.wraps(step)
    def closing(*args: Any, **kwargs: Any) -> Result:
        try:
            with isolation.everything():
                return step(*args, **kwargs)
        finally:
            connections.close_all()

    return closing


@dataclass(frozen=True, slots=True)
class Plan:
    """What this demo was begun with; a later start goes on with the same."""

    mailboxes: int
    contacts: int
    sink_port: int
    day: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the campaigns are: messages and people in their states, and campaigns in theirs."""

    messages: Counter[str]
    waiting: int
    campaigns: Counter[str]

    @property
    def done(self) -> int:
        return sum(count for status, count in self.messages.items() if status in books.FINAL)

    @property
    def is_over(self) -> bool:
        """All campaigns are completed."""
        return self.campaigns["completed"] == sum(self.campaigns.values()) > 0

    @property
    def is_held(self) -> bool:
        """Somebody paused, halted or cancelled what is left."""
        return not self.campaigns["running"] and not self.campaigns["draft"] and not self.is_over


class Demo:
    """The demo in one state directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = fleet.Files(folder)
        self.plan: Plan | None = None

    @property
    def book(self) -> Path:
        return self.folder / "sink.jsonl"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @between_forks
    def begin(self, mailboxes: int | None, contacts: int | None) -> bool:
        """The files are there; True when the demo had been finished. Raises NotReady where --fresh is needed."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        store = self.folder / "plan.json"
        known = set(Tenant.objects.values_list("slug", flat=True))
        foreign = known - set(SLUGS)
        if foreign:
            raise NotReady(
                f"This database has tenants that are not the demo's ({', '.join(sorted(foreign)[:3])}). "
                "Run it elsewhere: STATE_DIR=/some/empty/folder make demo",
                missing=[],
            )
        if store.exists():
            self.plan = Plan(**json.loads(store.read_text()))
            asked = (mailboxes or self.plan.mailboxes, contacts or self.plan.contacts)
            if asked != (self.plan.mailboxes, self.plan.contacts):
                raise NotReady(
                    f"This demo was begun with {self.plan.mailboxes} mailboxes and {self.plan.contacts} contacts. "
                    "Leave the sizes out to go on, or start over with --fresh.",
                    missing=[],
                )
        elif known:
            raise NotReady(f"The demo's files in {self.folder} are gone; start over with --fresh.", missing=[])
        else:
            port = conditions.first_free(conditions.SINK_PORTS)
            today = datetime.now(UTC).date().isoformat()
            self.plan = Plan(mailboxes or fleet.MAILBOXES, contacts or fleet.CONTACTS, port, today)
            draft = store.with_suffix(".new")
            draft.write_text(json.dumps(asdict(self.plan)))
            draft.replace(store)
        written = [self.files.passwords, *map(self.files.domains, fleet.COMPANIES)]
        if not all(file.exists() for file in written):
            plan = self.plan
            day = date.fromisoformat(plan.day)
            sizes = {"mailboxes": plan.mailboxes, "contacts": plan.contacts}
            fleet.write(self.folder, **sizes, port=plan.sink_port, today=day)
        return self.progress().is_over

    @between_forks
    def create_tenants(self) -> int:
        """The three client companies are there, each with a green checklist."""
        known = set(Tenant.objects.filter(slug__in=SLUGS).values_list("slug", flat=True))
        for company in fleet.COMPANIES:
            if company.slug not in known:
                call(
                    "create_tenant", company.slug, "--name", company.name, "--time-zone", company.time_zone,
                    "--postal-address", company.postal_address,
                )  # fmt: skip
                with isolation.everything():
                    # Nobody is here to agree, and the demo may have more contacts than one may reach alone.
                    made = Tenant.objects.get(slug=company.slug)
                    ApprovalPolicy.objects.create(
                        tenant=made, launch_above=None, cap_above=max(fleet.DAILY_CAPS), bases=False
                    )
            if not call("tenant_record", company.slug)["ready"]:
                call("tenant_record", company.slug, str(company.record))
        return len(SLUGS)

    @between_forks
    def import_mailboxes(self) -> int:
        """Every mailbox of the files is there; return how many."""
        wanted = fleet.split(self._plan.mailboxes)
        for company in fleet.COMPANIES:
            size = sum(count for (slug, _), count in wanted.items() if slug == company.slug)
            if Mailbox.objects.filter(tenant__slug=company.slug).count() < size:
                call("import_mailboxes", str(self.files.mailboxes(company)), "--tenant", company.slug)
        return Mailbox.objects.filter(tenant__slug__in=SLUGS).count()

    @between_forks
    def allow_bases(self) -> int:
        """Every account of the demo carries what its host's terms allow; return how many accounts."""
        accounts = ProviderAccount.objects.filter(tenant__slug__in=SLUGS)
        new = accounts.filter(allowed_bases=[]).order_by("pk")
        for slug, host, port in list(new.values_list("tenant__slug", "host", "port")):
            call(
                "account_bases", f"{host}:{port}", "--tenant", slug, "--allow", *fleet.ALLOWED_BASES, "--link",
                fleet.HOST_TERMS, "--on", self._plan.day, "--reason", "The sink takes everything",
            )  # fmt: skip
        return accounts.count()

    @between_forks
    def import_domains(self) -> int:
        """Every sending domain of the files is there; return how many."""
        for company in fleet.COMPANIES:
            file = self.files.domains(company)
            wanted = len(file.read_text().splitlines()) - 1
            if SendingDomain.objects.filter(tenant__slug=company.slug).exclude(dkim_selectors=[]).count() < wanted:
                call("import_domains", str(file), "--tenant", company.slug)
        return SendingDomain.objects.filter(tenant__slug__in=SLUGS).count()

    @between_forks
    def check_domains(self) -> int:
        """Every sending domain is verified by its records; return how many. Raises NotReady."""
        waiting = SendingDomain.objects.filter(tenant__slug__in=SLUGS).exclude(state="verified")
        for slug in sorted(set(waiting.values_list("tenant__slug", flat=True))):
            with suppress(SystemExit):  # by which the command says that some failed
                call("check_domains", "--tenant", slug)
        if left := list(waiting.values_list("name", flat=True)[:3]):
            raise NotReady(f"These domains of the demo are not verified: {', '.join(left)}.", missing=left)
        return SendingDomain.objects.filter(tenant__slug__in=SLUGS, state="verified").count()

    @between_forks
    def import_contacts(self) -> int:
        """Every contact of the files is there and on its list; return how many."""
        wanted = fleet.split(self._plan.contacts)
        for company in fleet.COMPANIES:
            for pool in company.pools:
                entries = ListEntry.objects.filter(
                    contact_list__name=pool.contact_list, tenant__slug=company.slug
                ).count()
                if entries < wanted[company.slug, pool.name]:
                    file = str(self.files.contacts(company, pool))
                    call("import_contacts", file, "--tenant", company.slug, "--list", pool.contact_list)
        return ListEntry.objects.filter(tenant__slug__in=SLUGS).count()

    @between_forks
    def validate_contacts(self) -> int:
        """Every contact has a verdict on its address; return how many may be mailed. Raises NotReady."""
        of_demo = Contact.objects.filter(tenant__slug__in=SLUGS)
        for slug in sorted(set(of_demo.filter(validity="").values_list("tenant__slug", flat=True))):
            with suppress(SystemExit):  # by which the command says that some have none
                call("validate_contacts", "--tenant", slug)
        if left := of_demo.filter(validity="").count():
            raise NotReady(f"{left} contacts of the demo could not be validated.", missing=[])
        return of_demo.filter(validity__in=("valid", "risky")).count()

    @between_forks
    def create_campaigns(self) -> int:
        """The campaigns are there, at least as drafts; return how many."""
        known = set(Campaign.objects.filter(tenant__slug__in=SLUGS).values_list("tenant__slug", "name"))
        names = [(company.slug, pool) for company in fleet.COMPANIES for pool in company.pools]
        for slug, pool in names:
            if (slug, pool.campaign) not in known:
                call("campaign", "create", str(fleet.CAMPAIGNS / pool.file), "--tenant", slug)
        return len(names)

    @between_forks
    def start_campaigns(self) -> int:
        """What is still a draft runs; return how many were started."""
        drafts = Campaign.objects.filter(tenant__slug__in=SLUGS, status="draft").order_by("pk")
        waiting = list(drafts.values_list("tenant__slug", "name"))
        for slug, name in waiting:
            call("campaign", "start", name, "--tenant", slug)
        return len(waiting)

    def sink(self) -> SinkProcess:
        """The mail server that all mailboxes of the demo leave by; it keeps its book from start to start."""
        return SinkProcess(
            self.book,
            port=self._plan.sink_port,
            users=self.files.passwords,
            require_auth=True,
            refuse_share=REFUSE_SHARE,
            defer_share=DEFER_SHARE,
        )

    @between_forks
    def progress(self) -> Progress:
        """Where the campaigns are now."""
        of_demo = Campaign.objects.filter(tenant__slug__in=SLUGS)
        ids = list(of_demo.values_list("pk", flat=True))
        messages = Message.objects.filter(campaign__in=ids).order_by().values_list("status").annotate(n=Count("pk"))
        campaigns = of_demo.order_by().values_list("status").annotate(n=Count("pk"))
        reached = Message.objects.filter(campaign__in=ids).count()
        return Progress(Counter(dict(messages)), max(self._plan.contacts - reached, 0), Counter(dict(campaigns)))

    @between_forks
    def report(self) -> books.Report:
        """Both books compared."""
        tenants = list(Tenant.objects.filter(slug__in=SLUGS))
        return books.judge(Book.read(self.book), books.read_ledger(tenants))

    @property
    def _plan(self) -> Plan:
        if self.plan is None:
            raise RuntimeError("begin() comes first")
        return self.plan


def call(command: str, *arguments: str) -> dict[str, Any]:
    """Run one of our commands as an operator would and return its JSON. Raises CommandError as it does.

    Its own progress would break into ours, and is not shown.
    """
    out = io.StringIO()
    with redirect_stderr(io.StringIO()):
        call_command(command, *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


@contextmanager
def told(title: str) -> Iterator[Callable[[Any], None]]:
    """Say on stderr that a step began, and how it ended: yields the function that takes the result."""
    started = time.monotonic()
    results: list[Any] = []
    sys.stderr.write(f"  {title:<34}")
    sys.stderr.flush()
    try:
        yield results.append
    except BaseException:
        sys.stderr.write("\n")
        raise
    took = time.monotonic() - started
    sys.stderr.write(f"{results[-1] if results else 'done':>22}   {took:5.1f} s\n")
    sys.stderr.flush()


def _slugs() -> set[str]:
    """Of all tenants, in a database from before row-level security too. Raises ProgrammingError without tables."""
    try:
        with isolation.everything():
            return set(Tenant.objects.values_list("slug", flat=True))
    except ProgrammingError:
        return set(Tenant.objects.values_list("slug", flat=True))


def start_over(folder: Path) -> None:
    """The embedded database and all files of the demo are gone; keys and settings stay.

    Raises NotReady on a database of one's own, on one with tenants that are not the demo's, and while
    another process uses the servers.
    """
    if not (settings.EMBEDDED_POSTGRES and settings.EMBEDDED_VALKEY):
        raise NotReady("--fresh empties only the embedded database; empty yours by hand.", missing=[])
    embedded.ensure()
    try:
        foreign = _slugs() - set(SLUGS)
    except ProgrammingError:  # no tables yet
        foreign = set()
    finally:
        connections.close_all()
        stopped = embedded.stop()
    if foreign:
        raise NotReady(
            f"{settings.STATE_DIR} holds tenants that are not the demo's ({', '.join(sorted(foreign)[:3])}), so it is "
            "not emptied. Run the demo elsewhere: STATE_DIR=/some/empty/folder make demo",
            missing=[],
        )
    if not stopped:
        raise NotReady("Another process uses the embedded servers; end it, then start over.", missing=[])
    for name in (folder, settings.STATE_DIR / "postgres", settings.STATE_DIR / "valkey"):
        shutil.rmtree(name, ignore_errors=True)
