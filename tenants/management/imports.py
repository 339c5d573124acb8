"""What the commands that import files into a tenant share: mappings, previews, taking an import back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from django.core.management.base import CommandError, CommandParser

from outreach.common.errors import BadInput, OutreachError
from outreach.common.import_commands import ImportCommand
from outreach.common.refusals import Report
from tenants.management import acting
from tenants.models import Tenant
from tenants.services.actors import Actor


class TenantImport(ImportCommand):
    """A command that takes a file into a tenant, or one of its imports back."""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        next(action for action in parser._actions if action.dest == "file").nargs = "?"
        parser.add_argument("--tenant", metavar="SLUG", required=True)
        parser.add_argument(
            "--map",
            metavar="TITLE=NAME",
            action="append",
            default=[],
            help="what a column of the file is; NAME empty: leave it out",
        )
        parser.add_argument("--source", metavar="NAME", default="", help="where the file comes from: its --map is kept")
        parser.add_argument("--preview", metavar="FILE", help="with --dry-run: what becomes of each row, as JSON lines")
        parser.add_argument("--rollback", metavar="ID", type=int, help="take that import back instead of a file in")

    def handle(self, *, file: str | None, json: bool, **options: Any) -> None:  # type: ignore[override]
        if options["rollback"] is not None:
            self._roll_back(options, as_json=json)
        elif file is None:
            raise CommandError("Name a FILE, or an import with --rollback ID.", returncode=1)
        else:
            super().handle(file=file, json=json, **options)

    def reports(self, options: dict[str, Any]) -> Iterable[Report]:
        common = {
            "dry_run": options["dry_run"],
            "refused_path": options["refused"],
            "sheet": options["sheet"],
            "source": options["source"],
            "mapping": _mapping(options["map"]),
        }
        with acting.in_tenant(options["tenant"], options["actor"]) as (tenant, actor):
            report = Report()
            for report in self.imported(tenant, actor, options, common):
                yield report
            if report.import_id:
                yield from self.follow_up(tenant, actor, report, options)

    def imported(
        self, tenant: Tenant, actor: Actor, options: dict[str, Any], common: dict[str, Any]
    ) -> Iterable[Report]:
        """The service's reports; `common` is what all of them take."""
        raise NotImplementedError

    def follow_up(self, tenant: Tenant, actor: Actor, report: Report, options: dict[str, Any]) -> Iterable[Report]:
        """What comes after the import, which stands by then."""
        return ()

    def rolled_back(self, tenant: Tenant, number: int, actor: Actor) -> tuple[dict[str, Any], list[str]]:
        """Take the import of that number back; what to print as JSON, and what to say besides."""
        raise NotImplementedError

    def _roll_back(self, options: dict[str, Any], *, as_json: bool) -> None:
        try:
            with acting.in_tenant(options["tenant"], options["actor"]) as (tenant, actor):
                result, said = self.rolled_back(tenant, options["rollback"], actor)
        except OutreachError as error:
            if as_json:
                self.stdout.write(json.dumps({"error": error.code, "message": str(error), **error.details}))
            raise CommandError(str(error), returncode=2 if error.http_status == 409 else 1) from error
        if as_json:
            self.stdout.write(json.dumps(result, ensure_ascii=False))
            return
        for line in (f"import {options['rollback']} was rolled back", *said):
            self.stdout.write(line)


def _mapping(given: list[str]) -> dict[str, str]:
    found = {}
    for text in given:
        title, sign, name = text.rpartition("=")
        if not sign or not title.strip():
            raise BadInput(f"--map {text!r} has no TITLE=NAME.", field="map")
        found[title.strip()] = name.strip()
    return found
