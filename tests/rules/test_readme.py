"""The README keeps step with the code."""

from __future__ import annotations

import csv
import re
from datetime import date
from pathlib import Path

from django.core.management import get_commands

from campaigns.services import contact_rows
from mailboxes.services import mailbox_rows
from tenants import permissions
from tests import factories

ROOT = Path(__file__).resolve().parent.parent.parent
README = (ROOT / "README.md").read_text()
OURS = ("outreach", "tenants", "mailboxes", "campaigns", "deliverability")


def between(name: str) -> str:
    return README.split(f"<!-- {name} -->\n")[1].split(f"<!-- /{name} -->")[0]


def role_table() -> str:
    """The table as README.md has to have it."""
    roles = permissions.ROLES
    lines = [
        f"| permission | {' | '.join(str(permissions.ROLE_NAMES[role]) for role in roles)} |",
        "| --- |" + " :-: |" * len(roles),
    ]
    for permission in sorted(permissions.ALL):
        marks = " | ".join("x" if permission in granted else " " for granted in roles.values())
        lines.append(f"| `{permission}` | {marks} |")
    return "\n".join(lines) + "\n"


def test_the_role_table_is_the_one_in_code():
    assert between("roles") == role_table(), f"Put this into README.md:\n{role_table()}"


def test_the_settings_table_has_every_variable_and_no_other():
    source = (ROOT / "outreach/settings.py").read_text()
    read = set(re.findall(r'(?:env\.\w+|required)\(\s*"([A-Z_]+)"', source)) | {"STATE_DIR"}
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.*?) \| (.*?) \|$", between("settings"), re.MULTILINE)

    assert sorted(name for name, _, _ in rows) == sorted(read)
    assert [name for name, default, meaning in rows if not default or not meaning] == []


def test_numbers_in_the_settings_table_are_the_defaults():
    source = (ROOT / "outreach/settings.py").read_text()
    found = re.findall(r'env\.(?:int|float)\("([A-Z_]+)", default=([\d *]+)\)', source)
    found += re.findall(r'env\.list\("([A-Z_]+)", cast=int, default=\[([\d, ]+)\]', source)
    told = dict(re.findall(r"^\| `([A-Z_]+)` \| `([\d,]+)` \|", between("settings"), re.MULTILINE))

    assert len(found) > 15
    for name, default in found:
        if "*" in default:
            first, second = default.split("*")
            default = str(int(first) * int(second))
        assert told.get(name) == default.replace(" ", ""), name


def test_the_required_settings_are_marked():
    source = (ROOT / "outreach/settings.py").read_text()
    required = set(re.findall(r'required\(\s*"([A-Z_]+)"', source))
    assert set(re.findall(r"^\| `([A-Z_]+)` \| \*required\* \|", between("settings"), re.MULTILINE)) == required


def test_every_command_of_ours_stands_in_the_readme():
    ours = {name for name, app in get_commands().items() if app.split(".")[0] in OURS}
    assert {name for name in ours if not re.search(rf"`{name}\b", README)} == set()


def test_every_file_and_folder_that_the_readme_names_is_there():
    named = re.findall(r"`((?:outreach|campaigns|mailboxes|tenants|deliverability|tests)/[\w/.]*)`", README)
    named += re.findall(r"\]\(([\w/.]+)\)", README)
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_files_of_the_first_campaign_are_taken():
    """What the README shows of two CSV files is what the imports judge as good."""
    blocks = [block for block in re.findall(r"```\n(.*?)```", README, re.DOTALL) if block.startswith("address,")]
    mailbox_lines, people_lines = (part.strip() for part in blocks[0].split("\n\n"))

    (header, row) = csv.reader(mailbox_lines.splitlines())
    assert {*mailbox_rows.SHAPE.required, "smtp_password"} <= set(header) <= set(mailbox_rows.SHAPE.known)
    assert isinstance(mailbox_rows.judge(2, dict(zip(header, row, strict=True))), mailbox_rows.Given)
    (header, row) = csv.reader(people_lines.splitlines())
    judge = contact_rows.judge(header, factories.hasher(), today=date(2026, 2, 1))
    assert isinstance(judge(2, row), contact_rows.Line)


def test_commands_of_the_first_campaign_exist():
    named = set(re.findall(r"^\$M (\w+)", README, re.MULTILINE))
    assert len(named) == 10
    assert named <= set(get_commands())
