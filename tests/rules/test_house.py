"""Rules of the whole tree that a reader would otherwise have to remember."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import get_commands

from outreach import firststart

ROOT = Path(__file__).resolve().parent.parent.parent


def own_files(*suffixes: str) -> list[Path]:
    """What git knows or would take: no environment, no state."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    paths = [ROOT / name for name in listed.stdout.splitlines()]
    return [path for path in paths if path.is_file() and (not suffixes or path.suffix in suffixes)]


def hits(pattern: str, paths: list[Path]) -> list[str]:
    found = []
    for path in paths:
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if re.search(pattern, line, re.IGNORECASE):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}")
    return found


def text_files() -> list[Path]:
    return [path for path in own_files() if b"\0" not in path.read_bytes()[:8000]]


def test_no_file_is_longer_than_500_lines():
    long = {
        str(path.relative_to(ROOT)): lines
        for path in own_files(".py")
        if "migrations" not in path.parts and (lines := len(path.read_text().splitlines())) > 500
    }
    assert long == {}


def test_no_room_is_called_utils_or_helpers():
    assert [path for path in own_files(".py") if re.fullmatch("utils?|helpers?|misc", path.stem)] == []


def test_nothing_names_this_machine_or_a_registry():
    places = [re.escape(str(place)) + "/" for place in (ROOT, Path.home()) if str(place) != "/"]
    hosts = ["pypi" + r"\.org", "python" + "hosted", "npm" + r"js\.org", "deb" + r"\.debian\.org"]
    options = ["index" + "-url", "find" + "-links", '"resolved": "' + "http"]

    assert hits("|".join([*places, *hosts, *options]), text_files()) == []


def test_the_tree_speaks_of_itself_only():
    words = [r"\bissue" + r" #?\d", r"\bthe " + "lead ", r"\bhand" + "ed over by", r"TO" + "DO|FIX" + "ME"]
    assert hits("|".join(words), text_files()) == []


def test_requirements_are_pinned_hashed_and_without_addresses():
    for name in ("requirements.txt", "tests/requirements.txt"):
        text = (ROOT / name).read_text()
        entries = re.split(r"\n(?=\S)", text.strip())
        assert [entry for entry in entries if not re.match(r"[\w.-]+(\[[\w, -]+\])?==\S+ .*\\\n +--hash=", entry)] == []
        assert "://" not in text


def test_no_lock_file_names_hosts():
    assert not (ROOT / ("uv" + ".lock")).exists()


def test_layers_hold():
    run = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout


def test_pure_rooms_do_not_look_at_the_clock_on_the_wall():
    pure = [*ROOT.glob("mailboxes/transports/*.py"), *ROOT.glob("deliverability/dns/*.py")]
    pure += [ROOT / f"campaigns/pipeline/{name}.py" for name in ("renderer", "slots", "windows")]
    pure += [ROOT / "mailboxes/capacity.py", *ROOT.glob("campaigns/pipeline/forecasting/*.py")]
    assert hits(r"\btime\.time\(|datetime\.now\(|timezone\.now\(|date\.today\(", [p for p in pure if p.exists()]) == []


def test_templates_have_no_inline_script():
    pattern = r"<script(?![^>]*\bsrc=)|\son(click|change|submit|load|input|key\w+)=|javascript:"
    assert hits(pattern, own_files(".html")) == []


# --- README ----------------------------------------------------------------------------------------------


def test_commands_of_the_readme_exist():
    readme = (ROOT / "README.md").read_text()
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = get_commands()

    assert [name for name in re.findall(r"manage\.py ([a-z_]+)", readme) if name not in commands] == []
    assert [name for name in re.findall(r"`make ([a-z-]+)", readme) if name not in targets] == []


def test_every_setting_of_the_environment_stands_in_the_readme():
    settings = (ROOT / "outreach/settings.py").read_text()
    names = re.findall(r'(?:env\.\w+|required)\(\s*"([A-Z_]+)"', settings)
    readme = (ROOT / "README.md").read_text()

    assert len(names) > 30
    assert [name for name in names if name not in readme] == []


# --- Settings --------------------------------------------------------------------------------------------


def production() -> dict[str, str]:
    key = firststart.key()
    return {
        "PATH": os.environ["PATH"],
        "STATE_DIR": "/nonexistent",
        "SECRET_KEY": "x" * 20 + "0123456789abcdefghijklmnopqrstuvwxyz",
        "ALLOWED_HOSTS": "console.example.com",
        "PUBLIC_URL": "https://console.example.com",
        "CREDENTIAL_KEYS": f"k1:{key}",
        "TOKEN_KEYS": f"k1:{key}",
        "HASH_KEY": key,
        "AUDIT_KEY": key,
        "DATABASE_URL": "postgresql://web@127.0.0.1:1/console",
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }


def run_check(env: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "manage.py", "check", *options]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)


@pytest.mark.parametrize(
    "name", ["SECRET_KEY", "ALLOWED_HOSTS", "PUBLIC_URL", "CREDENTIAL_KEYS", "TOKEN_KEYS", "HASH_KEY", "AUDIT_KEY"]
)
def test_production_refuses_to_start_without(name):
    run = run_check({key: value for key, value in production().items() if key != name})

    assert run.returncode == 1
    assert run.stderr.startswith(f"{name} is not set, and production needs it.")
    assert "Traceback" not in run.stderr


def test_production_settings_are_clean():
    run = run_check(production(), "--deploy", "--fail-level", "WARNING")
    assert run.returncode == 0, run.stderr
    assert "no issues (0 silenced)" in run.stdout + run.stderr


def test_plain_http_is_for_loopback_only():
    env = production() | {"INSECURE_HTTP": "1"}
    assert "outreach.E002" in run_check(env, "--deploy").stderr

    alone = env | {"ALLOWED_HOSTS": "localhost", "PUBLIC_URL": "http://localhost:8000"}
    assert run_check(alone, "--deploy", "--fail-level", "WARNING").returncode == 0


def test_a_bad_key_is_named_by_its_id_only():
    run = run_check(production() | {"CREDENTIAL_KEYS": "k7:c2hvcnQ="})
    assert run.returncode == 1
    assert "outreach.E001" in run.stderr
    assert "'k7'" in run.stderr
    assert "c2hvcnQ" not in run.stderr


@pytest.mark.django_db
def test_models_have_their_migrations():
    from django.core.management import call_command

    call_command("makemigrations", "--check", "--dry-run", verbosity=1)
