"""The page of a sending domain with its checks and with the records to publish."""

from __future__ import annotations

import io
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import FileResponse, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import path, reverse
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from deliverability import reports
from deliverability.dns import records
from deliverability.models import DomainCheck
from deliverability.services import checks
from mailboxes.admin.domains import DomainPages
from mailboxes.models import SendingDomain
from outreach.common import csv_files
from outreach.common.errors import OutreachError
from tenants.admin.columns import state

MOST_AT_ONCE = 16  # checked while a page waits; more are left to the checks that come by themselves
PAGE_SECONDS = 15.0  # for which one domain may keep a page waiting
NAMES = {
    "mx": gettext_lazy("MX: it receives"),
    "spf": gettext_lazy("SPF: who may send"),
    "dkim": gettext_lazy("DKIM: signatures"),
    "dmarc": gettext_lazy("DMARC: policy and reports"),
    "tracking": gettext_lazy("Links"),
    "ptr": gettext_lazy("PTR"),
}


def of_check(check: DomainCheck | None) -> list[dict[str, Any]]:
    """The findings of a check by what they are about, in the order in which a person puts them right."""
    found = checks.findings_of(check)
    parts = [
        {"title": title, "findings": [each for each in found if each.check == name]} for name, title in NAMES.items()
    ]
    return [part for part in parts if part["findings"]]


def as_file(domains: list[SendingDomain], kind: str, name: str) -> FileResponse:
    """The records of these domains as a zone file or as CSV."""
    found = reports.records_of(domains)
    if kind == "zone":
        file: Any = io.BytesIO(records.as_zone(found).encode())
        content_type = "text/plain; charset=utf-8"
    else:
        file, content_type = csv_files.write(found, records.COLUMNS, reports.cells), "text/csv"
    headers = {"Cache-Control": "no-store"}
    return FileResponse(file, as_attachment=True, filename=f"{name}.{kind}", content_type=content_type, headers=headers)


@admin.register(SendingDomain)
class SendingDomainAdmin(DomainPages):
    list_display = (*DomainPages.list_display[:3], "last_check", *DomainPages.list_display[3:])
    actions = ("check_now", "records_csv", "records_zone", *DomainPages.actions)
    change_form_outer_before_template = "console/domain.html"

    def get_urls(self):
        view = self.admin_site.admin_view(self.records_file)
        return [
            path("<int:pk>/records.<slug:kind>", view, name="mailboxes_sendingdomain_records"),
            *super().get_urls(),
        ]

    def get_changelist_instance(self, request):
        """The last checks of the page's rows come in one query."""
        changelist = super().get_changelist_instance(request)
        last = checks.latest([row.pk for row in changelist.result_list])
        for row in changelist.result_list:
            row.check = last.get(row.pk)
        return changelist

    @admin.display(description=gettext_lazy("last check"))
    def last_check(self, row):
        check = getattr(row, "check", None)
        return "" if check is None else state(check.level, check.get_level_display())

    def change_view(self, request: Any, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        extra = dict(extra_context or {})
        row = self.get_object(request, object_id) if request.method == "GET" else None
        if row is not None:
            check = checks.latest([row.pk]).get(row.pk)
            extra |= {"check": check, "by_check": of_check(check)}
            if row.state != SendingDomain.State.RETIRED:
                extra["records"] = reports.records_of([row])
                extra["records_urls"] = [
                    (title, reverse("admin:mailboxes_sendingdomain_records", args=[row.pk, kind]))
                    for kind, title in (("zone", _("as a zone file")), ("csv", _("as CSV")))
                ]
        return super().change_view(request, object_id, form_url, extra)

    def records_file(self, request: Any, pk: int, kind: str) -> HttpResponseBase:
        """The records of one domain."""
        row = self.row_of(request, pk)
        return as_file([row], "zone" if kind == "zone" else "csv", row.name)

    @admin.action(description=gettext_lazy("Check now"), permissions=["check"])
    def check_now(self, request: Any, queryset: QuerySet) -> HttpResponseBase | None:
        rows = list(queryset.order_by("pk")[: MOST_AT_ONCE + 1])
        if len(rows) > MOST_AT_ONCE:
            queryset.model.objects.filter(pk__in=queryset.values("pk")).update(check_due_at=None)
            self.message_user(request, _("These are checked one after the other, within minutes."), messages.INFO)
            return None
        try:
            done = checks.run(rows, checks.resolver(run_seconds=PAGE_SECONDS), actor=request.actor, now=now())
        except OutreachError as error:
            self.message_user(request, str(error), messages.ERROR)
            return None
        text = ngettext("%d domain checked:", "%d domains checked:", done.checked) % done.checked
        counts = ", ".join(f"{n} {DomainCheck.Outcome(name).label}" for name, n in done.outcomes.items() if n)
        failed = done.outcomes[DomainCheck.Outcome.FAILED]
        self.message_user(request, f"{text} {counts}", messages.WARNING if failed else messages.SUCCESS)
        return HttpResponse(status=302, headers={"Location": self.url_of(rows[0])}) if len(rows) == 1 else None

    @admin.action(description=gettext_lazy("Records to publish, as CSV"), permissions=["view"])
    def records_csv(self, request: Any, queryset: QuerySet) -> HttpResponseBase:
        return as_file(list(queryset.order_by("name")), "csv", f"records-{now():%Y%m%d}")

    @admin.action(description=gettext_lazy("Records to publish, as a zone file"), permissions=["view"])
    def records_zone(self, request: Any, queryset: QuerySet) -> HttpResponseBase:
        return as_file(list(queryset.order_by("name")), "zone", f"records-{now():%Y%m%d}")

    def has_check_permission(self, request):
        return request.actor.can("deliverability.check")
