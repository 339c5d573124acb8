"""The database roles of the console, as SQL to read or run."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import connection

from outreach.common import roles


class Command(BaseCommand):
    help = (
        "Print the SQL that makes the roles owner, web and worker and gives web and worker their rights. "
        "With --run, execute it by OWNER_DATABASE_URL, whose role needs CREATEROLE then."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        for role, user in settings.DATABASE_USERS.items():
            parser.add_argument(f"--{role}", default=user, help=f"name of the {role} role (default: {user})")
        parser.add_argument("--run", action="store_true", help="execute instead of printing")

    def handle(self, *, owner: str, web: str, worker: str, run: bool, **options: Any) -> None:
        statements = f"{roles.create_roles_sql(owner, web, worker)}\n{roles.grants_sql(web, worker)}\n"
        if not run:
            self.stdout.write("-- As a role with CREATEROLE, then as the owner inside its database.\n" + statements)
            return
        with connection.cursor() as cursor:
            cursor.execute(statements)
        self.stdout.write(f"roles={','.join(dict.fromkeys((owner, web, worker)))}")
