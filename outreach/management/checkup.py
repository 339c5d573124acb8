"""What `doctor` looks at: each look answers with a state, what it found and what to do about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any

import redis
from django.conf import settings
from django.core import checks
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models.functions import Now
from rq import Worker

from campaigns.models import Batch, Message
from outreach import embedded
from outreach.common import isolation, queues
from outreach.common.errors import BadInput
from tenants.services import sealing

GOOD, WARNING, BAD = "good", "warning", "bad"
SKEW_SECONDS = 2.0


@dataclass(frozen=True)
class Finding:
    """One line of the screen. `remedy` is empty where nothing needs doing."""

    name: str
    state: str
    found: str
    remedy: str = ""
    numbers: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def database() -> Iterator[Finding]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('server_version_num')::int, current_user, rolsuper OR rolbypassrls, "
            "pg_database_size(current_database()) FROM pg_roles WHERE rolname = current_user"
        )
        version, user, mighty, size = cursor.fetchone()
    where = "embedded" if settings.EMBEDDED_POSTGRES else "from DATABASE_URL"
    numbers = {"version": version, "bytes": size}
    found = f"PostgreSQL {version // 10000}.{version % 10000}, {where}, {size / 2**20:,.0f} MB"
    old = version < 150000
    remedy = "Move to PostgreSQL 15 or newer." if old else ""
    yield Finding("database", BAD if old else GOOD, found, remedy, numbers)
    if mighty:
        remedy = "Use a role without SUPERUSER and BYPASSRLS; `manage.py create_roles` prints how."
        yield Finding("roles", BAD, f"{user} passes by row-level security", remedy)
        return
    users = settings.DATABASE_USERS
    unwalled = [role for role in ("web", "worker") if users[role] == users["owner"]]
    if unwalled:
        # The owner's own policy shows it every row, since migrations need that.
        remedy = "Set DATABASE_URL, WORKER_DATABASE_URL and OWNER_DATABASE_URL; `manage.py create_roles` prints how."
        who = "web and worker sign" if len(unwalled) == 2 else f"{unwalled[0]} signs"
        found = f"{who} in as the owner, so no wall stands between tenants"
        yield Finding("roles", WARNING if settings.DEBUG else BAD, found, remedy)
    elif users["web"] == users["worker"]:
        remedy = "Isolation is weaker: set WORKER_DATABASE_URL; see create_roles."
        yield Finding("roles", WARNING, "web and worker share a database role", remedy)
    else:
        yield Finding("roles", GOOD, ", ".join(f"{role} {name}" for role, name in users.items()))


def clock() -> Iterator[Finding]:
    with connection.cursor() as cursor:
        before = time.time()
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
        theirs, after = float(cursor.fetchone()[0]), time.time()
    skew = theirs - (before + after) / 2
    late = abs(skew) > SKEW_SECONDS
    remedy = "Let both machines follow NTP: leases and windows go by the database's clock." if late else ""
    found = f"database and host differ by {skew:+.2f} s"
    yield Finding("clock", WARNING if late else GOOD, found, remedy, {"skew_seconds": round(skew, 3)})


def migrations() -> Iterator[Finding]:
    executor = MigrationExecutor(connection)
    pending = [str(migration) for migration, _ in executor.migration_plan(executor.loader.graph.leaf_nodes())]
    found = f"{len(pending)} not applied: {', '.join(pending[:5])}" if pending else "all applied"
    remedy = "Run: manage.py migrate" if pending else ""
    yield Finding("migrations", BAD if pending else GOOD, found, remedy, {"pending": len(pending)})


def queue() -> Iterator[Finding]:
    client = queues.connection(settings.REDIS_URL)
    try:
        waiting = {name: queues.waiting(name) for name in settings.RQ_QUEUES}
        workers = Worker.all(connection=client)
    except (redis.RedisError, OSError) as error:
        remedy = "Start Valkey or mend REDIS_URL; mail waits in the database meanwhile, nothing is lost."
        yield Finding("queue", BAD, f"not reachable: {error}", remedy)
        return
    serving = {name for worker in workers for name in worker.queue_names()}
    text = ", ".join(f"{name} {count}" for name, count in waiting.items())
    unserved = sorted(name for name, count in waiting.items() if count and name not in serving)
    nobody = f"Nobody works on {', '.join(unserved)}: start manage.py up, or manage.py worker."
    remedy = nobody if unserved else ""
    found = f"{len(workers)} workers; waiting: {text}"
    numbers = {"workers": len(workers), "waiting": waiting}
    yield Finding("queue", WARNING if unserved else GOOD, found, remedy, numbers)


def stuck() -> Iterator[Finding]:
    """Rows that the sweep or the reaper should have moved, and rows that wait for a person; of all tenants."""
    with isolation.everything():
        yield from _stuck()


def _stuck() -> Iterator[Finding]:
    over = Message.objects.filter(lease_until__lt=Now() - timedelta(seconds=3 * settings.SWEEP_EVERY_SECONDS))
    states = ("claimed", "committing")
    held = {state: over.filter(status=state).count() for state in states}
    remedy = "The periodic work does not run: start manage.py up, or manage.py worker --cron."
    text = ", ".join(f"{count} {state}" for state, count in held.items()) + " with their lease over"
    late = any(held.values())
    yield Finding("held rows", BAD if late else GOOD, text, remedy if late else "", held)

    patience = 2 * max(settings.RING_AGAIN_SECONDS)
    asked = Now() - timedelta(seconds=patience)
    open_ = Batch.objects.filter(done_at=None, created_at__lt=asked)
    unrung = open_.filter(rung_at=None).count() + open_.filter(rung_at__lt=asked).count()
    found = f"{unrung} open and not rung for {patience} s"
    yield Finding("batches", WARNING if unrung else GOOD, found, remedy if unrung else "", {"unrung": unrung})

    uncertain = Message.objects.filter(status="uncertain").count()
    settle = "Settle them in the console: each may have arrived, so none is sent again." if uncertain else ""
    yield Finding("uncertain", WARNING if uncertain else GOOD, f"{uncertain} mails", settle, {"rows": uncertain})


def keys() -> Iterator[Finding]:
    """Ids of keys, never keys."""
    for name in ("CREDENTIAL_KEYS", "TOKEN_KEYS"):
        ids = [entry.strip().partition(":")[0] for entry in getattr(settings, name).split(",")]
        development = "dev" in ids and not settings.DEBUG
        remedy = "A development key in production: replace it." if development else ""
        yield Finding(name, BAD if development else GOOD, ", ".join(ids) + " (newest first)", remedy, {"ids": ids})


def seals() -> Iterator[Finding]:
    """By which keys the secrets of all tenants are sealed, and whether those keys are there."""
    try:
        known, used = sealing.keyring().ids, sealing.uses()
    except BadInput:
        return  # the settings say what is wrong with the list
    numbers = {"keys": dict(used), "waiting": sum(used[key] for key in known[1:])}
    if lost := {key: count for key, count in used.items() if key not in known}:
        text = ", ".join(f"{count} by {key!r}" for key, count in sorted(lost.items()))
        remedy = "Put these keys back into CREDENTIAL_KEYS, or enter the passwords again. '?' is no sealed secret."
        yield Finding("seals", BAD, f"sealed by keys that are not in CREDENTIAL_KEYS: {text}", remedy, numbers)
    elif numbers["waiting"]:
        found = f"{numbers['waiting']} of {used.total()} secrets wait for the newest key"
        yield Finding("seals", WARNING, found, "Run: manage.py rotate_keys", numbers)
    else:
        spare = f"; no secret needs {', '.join(known[1:])}" if known[1:] else ""
        yield Finding("seals", GOOD, f"{used.total()} secrets, all by {known[0]}{spare}", "", numbers)


def setup() -> Iterator[Finding]:
    found = checks.run_checks(include_deployment_checks=not settings.DEBUG, databases=["default"])
    spoken = [message for message in found if not message.is_silenced()]
    worst = BAD if any(message.is_serious() for message in spoken) else WARNING
    for message in spoken:
        yield Finding("settings", worst, f"{message.id} {message.msg}", message.hint or "See the README's settings.")
    if not spoken:
        yield Finding("settings", GOOD, "system checks pass" + (" (DEBUG is on)" if settings.DEBUG else ""))


LOOKS: list[Callable[[], Iterator[Finding]]] = [database, clock, migrations, queue, stuck, keys, seals, setup]


def look() -> Iterator[Finding]:
    """Yield every finding. Where the database is away, that is said once and looks that need it are left out."""
    away = False
    for each in LOOKS:
        try:
            yield from each()
        except DatabaseError as error:
            connection.close()
            if away:
                continue
            away = each is database
            remedy = "See the migrations above."
            if away:
                log = embedded.state_dir() / "postgres.log"
                remedy = f"See {log}." if settings.EMBEDDED_POSTGRES else "Start it, or mend DATABASE_URL."
            yield Finding(each.__name__, BAD, str(error).splitlines()[0], remedy)
