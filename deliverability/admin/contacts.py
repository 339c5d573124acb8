"""The page of contacts, with the verdicts on their addresses."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.http import urlencode
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from campaigns.admin.contacts import ContactPages
from campaigns.models import Contact
from campaigns.services import validity
from campaigns.services.validity import Choice
from deliverability import reports
from deliverability.services import checks, validation
from outreach.common import queues
from outreach.common.errors import OutreachError
from tenants.admin.columns import labelled
from tenants.models import Tenant
from tenants.services.actors import visible_to

MOST_AT_ONCE = 16  # validated while a page waits
MOST_LATER = 50_000  # given to the workers by one act; the command takes any number
PAGE_SECONDS = 15.0

REASONS = {
    "syntax": gettext_lazy("no address by its form"),
    "no_domain": gettext_lazy("the domain does not exist"),
    "null_mx": gettext_lazy("the domain takes no mail (null MX)"),
    "no_mx": gettext_lazy("the domain has neither MX nor address"),
    "dead_mx": gettext_lazy("the hosts of its MX have no address"),
    "implicit_mx": gettext_lazy("no MX, only an address of its own"),
    "dns_unknown": gettext_lazy("DNS gave no answer"),
    "desk": gettext_lazy("a desk for complaints or technicians"),
    "no_reply": gettext_lazy("nobody reads it"),
    "role": gettext_lazy("a role and not a person"),
    "disposable": gettext_lazy("a disposable address"),
    "bounced": gettext_lazy("its mail bounced for good"),
}


def in_words(reason: str) -> str:
    """Why a verdict is what it is, for people."""
    if reason.startswith("verifier"):
        own = reason.removeprefix("verifier").strip("_").replace("_", " ")
        return _("a verifier says so: %s") % own if own else _("a verifier says so")
    return str(REASONS.get(reason, reason))


class ReasonFilter(admin.SimpleListFilter):
    """Why: the known reasons, without reading a million rows for them."""

    title, parameter_name = gettext_lazy("reason of the verdict"), "validity_reason"

    def lookups(self, request, model_admin):
        return [*REASONS.items(), ("verifier", _("a verifier says so"))]

    def queryset(self, request, queryset):
        if self.value() == "verifier":
            return queryset.filter(validity_reason__startswith="verifier")
        return queryset if self.value() is None else queryset.filter(validity_reason=self.value())


@admin.register(Contact)
class ContactAdmin(ContactPages):
    list_display = (*ContactPages.list_display[:1], "validity_label", *ContactPages.list_display[1:])
    list_filter = ("validity", ReasonFilter, *ContactPages.list_filter)
    list_before_template = "console/contact_list.html"
    actions = ("validate_now", *ContactPages.actions)
    fieldsets = (
        *ContactPages.fieldsets[:1],
        (gettext_lazy("Address"), {"fields": ("validity_label", "why", "validated_at", "operator", "company_domain")}),
        *ContactPages.fieldsets[1:],
    )

    validity_label = labelled("validity", gettext_lazy("address"), hide=("valid",))

    @admin.display(description=gettext_lazy("reason"))
    def why(self, row):
        return in_words(row.validity_reason) if row.validity_reason else ""

    def get_urls(self):
        view = self.admin_site.admin_view(self.verdicts_view)
        return [path("verdicts/", view, name="campaigns_contact_verdicts"), *super().get_urls()]

    def verdicts_view(self, request: Any) -> HttpResponse:
        """How many contacts of each tenant have which verdict; each number opens its rows."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        tenants = visible_to(request.actor, Tenant.objects.exclude(status=Tenant.Status.CLOSED), "campaigns.view")
        context = {
            **self.admin_site.each_context(request),
            "title": _("Addresses by verdict"),
            "opts": self.opts,
            "rows": [self._row(tenant, found) for tenant, found in reports.verdicts(list(tenants.order_by("name")))],
        }
        return TemplateResponse(request, "console/contact_verdicts.html", context)

    def _row(self, tenant: Tenant, found: list[tuple[str, str, int]]) -> dict[str, Any]:
        page = reverse("admin:campaigns_contact_changelist")
        names = dict(Contact.Validity.choices)

        def link(**lookups: str) -> str:
            return f"{page}?{urlencode({'tenant__id__exact': tenant.pk, **lookups})}"

        totals: dict[str, int] = defaultdict(int)
        for verdict, _reason, count in found:
            totals[verdict] += count
        whole, before, verdicts = sum(totals.values()), 0, []
        for verdict, name in names.items():
            if not totals[verdict]:
                continue
            reasons = [
                {"name": in_words(reason), "count": count,
                 "url": link(validity__exact=verdict, validity_reason=reason)}
                for each, reason, count in found if each == verdict and reason
            ]  # fmt: skip
            place, before = 1000 * before // whole, before + totals[verdict]
            verdicts.append(
                {
                    "value": verdict or "new", "name": name, "count": totals[verdict], "reasons": reasons,
                    "url": link(validity__exact=verdict), "from": place, "width": 1000 * before // whole - place,
                }
            )  # fmt: skip
        return {"tenant": tenant, "total": whole, "url": link(), "verdicts": verdicts}

    @admin.action(description=gettext_lazy("Validate now"), permissions=["check"])
    def validate_now(self, request: Any, queryset: QuerySet) -> HttpResponseBase | None:
        rows = list(queryset.order_by("pk").only("pk", "tenant_id")[: MOST_LATER + 1])
        if len(rows) > MOST_LATER:
            text = _("At most %d at once; validate_contacts --again validates any number.") % MOST_LATER
            self.message_user(request, text, messages.ERROR)
            return None
        by_tenant: dict[int, list[Contact]] = defaultdict(list)
        for row in rows:
            by_tenant[row.tenant_id].append(row)
        act = self._at_once if len(rows) <= MOST_AT_ONCE else self._later
        for tenant in Tenant.objects.filter(pk__in=by_tenant).order_by("pk"):
            try:
                act(request, tenant, by_tenant[tenant.pk])
            except OutreachError as error:
                self.message_user(request, str(error), messages.ERROR)
        if request.POST.get("from_detail") and len(rows) == 1:
            return HttpResponse(status=302, headers={"Location": self.url_of(rows[0])})
        return None

    def _at_once(self, request: Any, tenant: Tenant, rows: list[Contact]) -> None:
        choice = Choice("all", ids=tuple(row.pk for row in rows))
        resolver = checks.resolver(run_seconds=PAGE_SECONDS)
        progress = validation.last(
            validation.run(
                tenant, resolver, actor=request.actor, now=now(), choice=choice, again=True, seconds=PAGE_SECONDS
            )
        )
        names = dict(Contact.Validity.choices)
        counts = ", ".join(f"{progress.of(name)} {title}" for name, title in names.items() if progress.of(name))
        if progress.judged:
            text = ngettext("%d address validated:", "%d addresses validated:", progress.judged) % progress.judged
            bad = progress.of("invalid") + progress.of("unknown")
            self.message_user(request, f"{text} {counts}", messages.WARNING if bad else messages.SUCCESS)
        if progress.left:
            self.message_user(request, _("There was no time for all of them. Do it again."), messages.WARNING)

    def _later(self, request: Any, tenant: Tenant, rows: list[Contact]) -> None:
        validity.forget(tenant, rows, actor=request.actor)
        queues.ring("deliverability.tasks.validate_contacts", tenant.pk, queue="checks")
        text = _("These are validated by the workers; until then nothing is sent to them.")
        self.message_user(request, text, messages.INFO)

    def has_check_permission(self, request):
        return request.actor.can("deliverability.check")
