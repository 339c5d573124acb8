"""What importing mailboxes and importing sending domains share: a service, and taking back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from mailboxes.models import Import
from mailboxes.services import imports
from outreach.common.errors import Missing
from outreach.common.refusals import Report
from tenants.management.imports import TenantImport
from tenants.models import Tenant
from tenants.services.actors import Actor


class FleetImport(TenantImport):
    """A command that takes a file into a tenant, or an import of its kind back. `service` is that of the file."""

    kind: ClassVar[Import.Kind]
    service: ClassVar[Callable[..., Iterable[Report]]]
    own_options: ClassVar[tuple[str, ...]] = ()  # that the service takes besides

    def imported(
        self, tenant: Tenant, actor: Actor, options: dict[str, Any], common: dict[str, Any]
    ) -> Iterable[Report]:
        own = {name: options[name] for name in self.own_options}
        return type(self).service(tenant, options["file"], actor=actor, **common, **own)

    def rolled_back(self, tenant: Tenant, number: int, actor: Actor) -> tuple[dict[str, Any], list[str]]:
        done = imports.find(tenant, number)
        if done.kind != self.kind:
            raise Missing(f"Import {done.pk} is one of {done.get_kind_display()}.")
        done = imports.roll_back(done, actor=actor)
        return {"import": done.pk, "state": done.state, "created": done.created, "updated": done.updated}, []
