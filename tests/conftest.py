"""Real servers for the tests, the roles they sign in as, and no socket that leaves this machine.

The first test that wants the database starts PostgreSQL and Valkey in a directory of this run. The test
database is created and migrated as owner; then every test signs in as web, one marked `as_worker` as worker.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from django.conf import settings
from django.db import connection
from django.test import TransactionTestCase

from outreach import embedded
from outreach.common import connections, isolation, roles
from outreach.common.postgres.base import DatabaseWrapper

STATE = Path(os.environ["OUTREACH_TEST_STATE"])
# Nothing to keep after a crash, so no waiting for the disk; tests of durability start a server of their own.
# Rows come and go with transactions that are rolled back: what autovacuum counts in between makes PostgreSQL take full
# tables for empty ones, and join them row by row.
FAST = {
    "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "300",
    "autovacuum": "off",
}  # fmt: skip


def servers(root: Path = STATE) -> embedded.Servers:
    return embedded.Servers(root, options=FAST)


def pytest_configure(config: pytest.Config) -> None:
    """Clear away what killed runs left behind."""
    if hasattr(config, "workerinput") or not STATE.parent.is_dir():
        return
    for left in STATE.parent.iterdir():
        if left.name.isdigit() and not psutil.pid_exists(int(left.name)) and servers(left).stop():
            shutil.rmtree(left, ignore_errors=True)


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and STATE.is_dir() and servers().stop():
        shutil.rmtree(STATE, ignore_errors=True)


# --- Roles -------------------------------------------------------------------------------------------------

current_role = wanted_role = "web"


@contextmanager
def signed_in(role: str) -> Iterator[None]:
    """Sign in as another role for a while; only outside a transaction."""
    before = current_role
    use_role(role)
    try:
        yield
    finally:
        use_role(before)


def use_role(role: str) -> None:
    global current_role
    if connection.settings_dict["USER"] != settings.DATABASE_SETTINGS[role]["USER"]:
        connections.use_role(role)
    current_role = role


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before any fixture opens a transaction."""
    global wanted_role
    marked = [role for role in ("worker", "owner") if item.get_closest_marker(f"as_{role}")]
    wanted_role = marked[0] if marked else "web"
    use_role(wanted_role)


@pytest.fixture(scope="session", autouse=True)
def _flush_as_owner() -> Iterator[None]:
    """Only the owner may truncate what a transactional test left."""
    tear_down = TransactionTestCase._fixture_teardown

    def as_owner(test: TransactionTestCase) -> None:
        with signed_in("owner"):
            with connection.cursor() as cursor:
                cursor.execute("SET app.append_only = 'off'")  # this connection ends with the block
            tear_down(test)

    TransactionTestCase._fixture_teardown = as_owner
    yield
    TransactionTestCase._fixture_teardown = tear_down


@pytest.fixture(scope="session")
def running_servers() -> embedded.Servers:
    """Both servers, started once for the whole run."""
    found = servers()
    found.start()
    return found


@pytest.fixture(scope="session")
def django_db_modify_db_settings(running_servers, django_db_modify_db_settings_parallel_suffix) -> None:
    """pytest-django asks for this before it makes the database."""
    use_role("owner")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker) -> Iterator[None]:
    """The test database is there; nobody who tests may pass by row-level security."""
    users = settings.DATABASE_USERS
    with django_db_blocker.unblock():
        with connection.cursor() as cursor:
            cursor.execute(roles.grants_sql(users["web"], users["worker"]))
        for role in ("worker", "web"):
            use_role(role)
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT current_user, rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
                )
                if cursor.fetchone() != (users[role], False):
                    pytest.exit(f"The tests' {role} role is not the restricted one that it must be.", returncode=3)
                cursor.execute("SELECT count(*) FROM pg_class WHERE relrowsecurity AND relforcerowsecurity")
                if not cursor.fetchone()[0]:
                    pytest.exit("No table of the test database has row-level security.", returncode=3)
        use_role(wanted_role)
    yield
    with django_db_blocker.unblock():
        use_role("owner")


@pytest.fixture(autouse=True)
def _in_scope(monkeypatch) -> Iterator[None]:
    """A test sees the tenants that it makes, in its threads too; what it tests has doors that narrow this."""
    monkeypatch.setattr(DatabaseWrapper, "scope", isolation.Scope(frozenset(), platform=True))
    monkeypatch.setattr(isolation, "include", include)
    connection.__dict__.pop("scope", None)
    yield
    connection.__dict__.pop("scope", None)


def include(tenant_id: int, include=isolation.include) -> None:
    """As isolation.include, for the threads to come as well."""
    include(tenant_id)
    DatabaseWrapper.scope = isolation.Scope(DatabaseWrapper.scope.tenant_ids | {tenant_id}, platform=True)


@pytest.fixture
def as_role():
    """`with as_role("worker"):` for transactional tests that act as several roles."""
    return signed_in


# --- Processes and the queue ------------------------------------------------------------------------------


@pytest.fixture
def process_env(transactional_db, running_servers) -> dict[str, str]:
    """Environment in which manage.py's processes work on this test's database and queue."""
    database = connection.settings_dict["NAME"]
    url = {role: embedded.database_url(STATE, user, database) for role, user in settings.DATABASE_USERS.items()}
    taken = {"DJANGO_SETTINGS_MODULE", "DATABASE_ROLE", "STATE_DIR"}
    return {name: value for name, value in os.environ.items() if name not in taken} | {
        "DEBUG": "1",
        "STATE_DIR": str(STATE),
        "DATABASE_URL": url["web"],
        "WORKER_DATABASE_URL": url["worker"],
        "OWNER_DATABASE_URL": url["owner"],
        "REDIS_URL": settings.REDIS_URL,
    }


@pytest.fixture
def empty_queue(running_servers):
    """A client of this process's own database in Valkey, which is empty now."""
    import redis

    client = redis.Redis.from_url(settings.REDIS_URL)
    client.flushdb()
    yield client
    client.flushdb()
    client.close()


# --- No socket leaves this machine -------------------------------------------------------------------------


def refuse_far(address) -> None:
    if not isinstance(address, tuple) or address[0] in ("localhost", ""):
        return
    if not ipaddress.ip_address(str(address[0]).split("%")[0]).is_loopback:
        raise RuntimeError(f"A test tried to reach {address[0]}.")


@pytest.fixture(scope="session", autouse=True)
def _loopback_only() -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    for name in ("connect", "connect_ex"):
        real = getattr(socket.socket, name)

        def guarded(self, address, real=real):
            refuse_far(address)
            return real(self, address)

        patch.setattr(socket.socket, name, guarded)
    yield
    patch.undo()
