"""Whatever stands on a command's line, it ends with a sentence."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from tests import factories

pytestmark = [pytest.mark.django_db, pytest.mark.attack("A36")]
COMMANDS = {
    "verify_audit": ("verify_audit",),
    "rotate_keys": ("rotate_keys", "--dry-run"),
    "mailbox": ("mailbox", "release", "box@example.com"),
    "lift_suppression": ("lift_suppression", "gone@example.net", "--reason=x"),
    "campaign": ("campaign", "start", "Spring"),
}
NO_TEXT = ["\0", "\udcff", "\ud800"]


@pytest.mark.parametrize("text", NO_TEXT)
@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - {"rotate_keys"}))
def test_a_slug_that_no_column_holds_is_no_tenants(command, text):
    with pytest.raises(CommandError, match="There is no tenant"):
        call_command(*COMMANDS[command], f"--tenant={text}")


@pytest.mark.parametrize("text", NO_TEXT)
@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_an_actor_that_no_column_holds_is_nobody(command, text):
    tenant = [] if command in ("verify_audit", "rotate_keys") else [f"--tenant={factories.tenant().slug}"]
    with pytest.raises(CommandError, match="There is no user"):
        call_command(*COMMANDS[command], f"--actor={text}", *tenant)


@pytest.mark.parametrize("text", ["9" * 5000, "9" * 19, "0", "\0", "\udcff"])
def test_a_campaign_that_can_be_none_is_missing(text):
    with pytest.raises(CommandError, match="has no campaign"):
        call_command("campaign", "status", text, f"--tenant={factories.tenant().slug}")


@pytest.mark.parametrize("file", ["a\0b", "\ud800", "", "/", "no/such/file"])
def test_a_description_that_is_no_file_is_refused(file):
    with pytest.raises(CommandError):
        call_command("campaign", "create", f"--tenant={factories.tenant().slug}", file)
