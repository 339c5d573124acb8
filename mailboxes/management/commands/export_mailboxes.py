"""Write a tenant's mailboxes into a file, without passwords."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from mailboxes.management import choosing
from mailboxes.services import exporting
from outreach.common.errors import BadInput, OutreachError
from tenants.management import acting, second_person


class Command(BaseCommand):
    help = "Write mailboxes into FILE (.csv or .jsonl), as import_mailboxes takes them; passwords are not among them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", help="must not be there yet; its ending says what is written")
        choosing.add_arguments(parser)
        acting.add_arguments(parser, writes=False)
        second_person.add_arguments(parser)

    def handle(self, *, file: str, tenant: str, actor: str | None = None, **options: Any) -> None:
        path = Path(file)
        try:
            with acting.in_tenant(tenant, actor) as (owner, who), second_person.asked(who, options):
                if path.exists():
                    raise BadInput(f"{file} is there already. Name another file.", field="file")
                rows = choosing.chosen(owner, options, everything=True)
                kind = path.suffix.lower().removeprefix(".")
                with exporting.export_mailboxes(rows, actor=who, kind=kind, approval=options["approval"]) as made:
                    exporting.save(made, path, actor=who)
                count = rows.exclude(state="retired").count()
        except OutreachError as error:
            raise acting.refused(self, error, as_json=options["json"]) from error
        except ValueError as error:  # no path has such characters
            raise acting.refused(self, BadInput(f"{file!r}: {error}."), as_json=options["json"]) from error
        report = {"file": file, "rows": count}
        self.stdout.write(json.dumps(report) if options["json"] else f"file={file} rows={count}")
