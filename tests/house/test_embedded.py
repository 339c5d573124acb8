"""The servers out of the wheels: started, killed, shared, stopped. Each test has servers of its own."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

from outreach import embedded

START = "import sys, pathlib; from outreach import embedded; embedded.Servers(pathlib.Path(sys.argv[1])).start()"


@pytest.fixture
def root(tmp_path):
    yield tmp_path / "state"
    for part in (embedded.Postgres(tmp_path / "state"), embedded.Valkey(tmp_path / "state")):
        part.stop()


def count(server: embedded.Postgres) -> int:
    with server.connect(embedded.OWNER, embedded.DATABASE) as link:
        return link.execute("SELECT count(*) FROM kept").fetchone()[0]


def test_a_killed_postgres_comes_back_with_everything_committed(root):
    server = embedded.Postgres(root)
    server.start()
    with server.connect(embedded.OWNER, embedded.DATABASE) as link:
        link.execute("CREATE TABLE kept AS SELECT 1")

    server.process().kill()
    server.start()
    assert count(server) == 1

    server.restart_immediate()
    assert count(server) == 1


def test_roles_are_no_superusers_and_web_reads_later_tables(root):
    server = embedded.Postgres(root)
    server.start()
    with server.connect(embedded.OWNER, embedded.DATABASE) as link:
        mighty = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'outreach%' AND (rolsuper OR rolbypassrls)"
        assert link.execute(mighty).fetchone() == (0,)
        link.execute("CREATE TABLE kept AS SELECT 1")

    with server.connect(embedded.WEB, embedded.DATABASE) as link:
        link.execute("INSERT INTO kept VALUES (2)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            link.execute("TRUNCATE kept")


def test_a_killed_valkey_comes_back_with_its_hints(root):
    server = embedded.Valkey(root)
    server.start()
    server.client().set("hint", 1)
    time.sleep(1.1)  # appendfsync everysec
    os.kill(int((root / "valkey.pid").read_text()), 9)

    server.start()
    assert server.client().get("hint") == b"1"


def test_two_processes_start_one_server_and_the_last_one_stops_it(root):
    for child in [subprocess.Popen([sys.executable, "-c", START, root]) for _ in range(2)]:
        assert child.wait(60) == 0

    first, second = embedded.Servers(root), embedded.Servers(root)
    first.start()
    second.start()
    assert not first.stop()
    assert embedded.Postgres(root).process() is not None

    assert second.stop()
    assert embedded.Postgres(root).process() is None


def test_sockets_of_a_deep_state_directory_are_short_and_private(tmp_path):
    sockets = embedded.socket_dir(tmp_path / ("deep" * 30))
    assert len(os.fsencode(sockets / ".s.PGSQL.5432")) <= embedded.SOCKET_BYTES

    embedded.private(sockets)
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    sockets.rmdir()


def test_sockets_never_lie_where_somebody_else_put_a_link(tmp_path):
    trap = tmp_path / "sockets"
    trap.symlink_to(tmp_path)

    with pytest.raises(embedded.EmbeddedError, match="belongs to another user"):
        embedded.private(trap)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_without_user_namespaces_root_runs_it_as_nobody(monkeypatch):
    monkeypatch.setattr(embedded, "namespace", lambda: ())
    root = Path(tempfile.mkdtemp())  # tmp_path lies in a folder that is closed to nobody
    root.chmod(0o711)
    server = embedded.Postgres(root / "state")
    try:
        server.start()
        assert server.process().uids().real == embedded.NOBODY
    finally:
        server.stop()
        shutil.rmtree(root)


def test_root_in_a_closed_folder_without_namespaces_hears_what_to_do(tmp_path, monkeypatch):
    tmp_path.chmod(0o700)
    server = embedded.Postgres(tmp_path / "state")
    server.as_nobody = True

    with pytest.raises(embedded.EmbeddedError, match="set STATE_DIR to a folder that others may enter"):
        server.start()
