"""The action that gives rows as a CSV file."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import FileResponse
from django.http.response import HttpResponseBase
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from outreach.common.errors import NeedsApproval, OutreachError

Service = Callable[..., IO[bytes]]


class Exports:
    """`exported` is the service, and `exported_as` names the file. It is complete before the answer begins."""

    dangerous: ClassVar[frozenset[str]] = frozenset({"export"})
    exported: ClassVar[Service]
    exported_as: ClassVar[str]
    export_permission: ClassVar[str] = "campaigns.export"
    dangerous: ClassVar[frozenset[str]] = frozenset({"export"})

    @admin.action(description=_("Export as CSV"), permissions=["export"])
    def export(self, request: Any, queryset: QuerySet) -> HttpResponseBase | None:
        try:
            file = type(self).exported(queryset, actor=request.actor)
        except NeedsApproval as error:
            return self.second_person(request, [error])  # type: ignore[attr-defined]
        except OutreachError as error:
            self.message_user(request, str(error), messages.ERROR)  # type: ignore[attr-defined]
            return None
        name = f"{self.exported_as}-{now():%Y%m%d-%H%M%S}.csv"
        headers = {"Cache-Control": "no-store"}
        return FileResponse(file, as_attachment=True, filename=name, content_type="text/csv", headers=headers)

    def has_export_permission(self, request: Any) -> bool:
        return request.actor.can(self.export_permission)
