"""Django's dumpdata, refused: rows of people, sessions and second factors would lie in a file of plain text."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser


class Command(BaseCommand):
    help = "Refused: take a backup with pg_dump, which restores and does not tempt anybody to read it."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("anything", nargs="*")

    def run_from_argv(self, argv: list[str]) -> None:
        """Whatever the options are."""
        super().run_from_argv(argv[:2])

    def handle(self, *args: Any, **options: Any) -> None:
        raise CommandError(
            "dumpdata is refused: it writes sessions, second factors and people's data into a file in clear, and "
            "leaves out what row-level security hides. Use pg_dump as the owner, and keep the file like the database."
        )
