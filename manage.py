#!/usr/bin/env python
"""Run one command of the console."""

import os
import re
import sys

# Which database role a command signs in as; what is not named here is the web's business.
OWNER = {"migrate", "makemigrations", "sqlmigrate", "showmigrations", "dbshell", "flush", "create_roles"}
WORKER = {"up", "worker", "demo", "campaign", "mailbox", "lift_suppression", "rotate_keys", "stop"}
WORKER |= {"create_tenant", "issue_key", "tenant_record"}
# These boot the embedded servers by themselves, or need none.
ON_THEIR_OWN = {"", "help", "up", "demo", "check", "collectstatic", "makemessages", "compilemessages", "test"}
ON_THEIR_OWN |= {"check_domain"}


def database_role(command: str) -> str:
    """Return owner, worker or web for a command; imports write as the worker does."""
    if command in OWNER:
        return "owner"
    return "worker" if command in WORKER or command.startswith("import_") else "web"


def main(arguments: list[str]) -> None:
    command = arguments[1] if len(arguments) > 1 else ""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "outreach.settings")
    os.environ.setdefault("DATABASE_ROLE", database_role(command))

    from django.core.exceptions import ImproperlyConfigured

    from outreach import embedded, firststart
    from outreach.common import circumstances
    from outreach.demo import conditions

    if command in {"up", "demo"}:
        port = re.search(r"--port[= ](\d+)", " ".join(arguments))
        firststart.write(embedded.state_dir(), int(port[1]) if port else 8000)
        firststart.complete(embedded.state_dir())
    if command == "demo":
        conditions.apply(arguments)
    name = "" if command.startswith("-") else command
    try:
        with circumstances.begun("command", name, actor_kind="system"):
            run(command, arguments)
    except (ImproperlyConfigured, embedded.EmbeddedError) as error:
        sys.exit(str(error))


def run(command: str, arguments: list[str]) -> None:
    """With the embedded servers round it, for what needs them and does not start them itself."""
    from django.core.management import execute_from_command_line

    from outreach import embedded

    alone = command in ON_THEIR_OWN and not any(part.startswith("--database") for part in arguments)
    if command.startswith("-") or alone or "--help" in arguments:
        execute_from_command_line(arguments)
        return
    embedded.ensure()
    try:
        execute_from_command_line(arguments)
    finally:
        embedded.stop()


if __name__ == "__main__":
    main(sys.argv)
