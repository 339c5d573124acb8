"""What stands still, and why; pulling the lever and lifting it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import F
from django.http import HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.timezone import now
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from campaigns.ledger import covering
from campaigns.ledger.covering import Covered
from campaigns.models import Campaign, Stop
from campaigns.services import stops
from mailboxes.models import Pool, ProviderAccount, QuotaGroup, ReceiverDomain, ReceiverLimit, SendingDomain
from outreach.common.errors import OutreachError
from outreach.common.freshness import kept
from tenants.admin import history
from tenants.admin.base import TenantAdmin
from tenants.admin.columns import labelled, link_to, since, state
from tenants.models import Tenant
from tenants.services.actors import Actor, visible_to

SUGGESTED = 500  # names that the page offers while one types; others are found all the same
SPANS = ("30m", "2h", "4h", "12h", "1d", "3d", "7d")
OF_ALL = (Stop.Scope.PLATFORM, Stop.Scope.ORGANISATION)  # what only those for every tenant may stop


def scopes_of(actor: Actor) -> list[tuple[str, Any]]:
    """What this person may stop at all."""
    everybody, somebody = actor.can("campaigns.stop_platform"), actor.can("campaigns.stop")
    return [
        (value, label)
        for value, label in Stop.Scope.choices
        if (everybody if value in OF_ALL else somebody or (everybody and value == Stop.Scope.RECEIVER))
    ]


def names_of(scope: str, actor: Actor) -> list[str]:
    """Some of what this person may name as the target, as the page offers it."""
    match scope:
        case Stop.Scope.ORGANISATION:
            return list(QuotaGroup.objects.values_list("name", flat=True)[:SUGGESTED])
        case Stop.Scope.RECEIVER:
            known = ReceiverDomain.objects.order_by("operator").values_list("operator", flat=True).distinct()
            return sorted({*known[:SUGGESTED], *ReceiverLimit.objects.values_list("operator", flat=True)})
        case Stop.Scope.TENANT:
            found = visible_to(actor, Tenant.objects.all(), "campaigns.stop")
            return list(found.values_list("slug", flat=True)[:SUGGESTED])
        case Stop.Scope.DOMAIN:
            found = visible_to(actor, SendingDomain.objects.exclude(state="retired"), "campaigns.stop")
            return list(found.values_list("name", flat=True)[:SUGGESTED])
        case Stop.Scope.ACCOUNT | Stop.Scope.POOL | Stop.Scope.CAMPAIGN:
            model: Any = {"account": ProviderAccount, "pool": Pool, "campaign": Campaign}[scope]
            rows = visible_to(actor, model.objects.order_by("-pk").select_related("tenant"), "campaigns.stop")
            return [f"{row.tenant.slug}/{row}" for row in rows[:SUGGESTED]]
    return []


class PullForm(forms.Form):
    """What is to stand still, why and until when."""

    scope = forms.ChoiceField(widget=UnfoldAdminSelectWidget, label=_("What"))
    target = forms.CharField(
        max_length=300,
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"list": "targets", "autocomplete": "off"}),
        label=_("Which"),
        help_text=_("Its name or number; an account as host:port, a pool or a campaign as tenant/name."),
    )
    tenant = forms.ModelChoiceField(
        Tenant.objects.none(),
        required=False,
        widget=UnfoldAdminSelectWidget,
        label=_("Of the tenant"),
        help_text=_("Whose pool, account or campaign; of a receiver: whose mail alone."),
    )
    organisational = forms.CharField(
        max_length=253,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        label=_("From the domain"),
        help_text=_("Of a receiver only: the mail of this organisational domain alone."),
    )
    reason = forms.CharField(max_length=stops.LONGEST_REASON, widget=UnfoldAdminTextInputWidget, label=_("Reason"))
    until = forms.CharField(
        max_length=40,
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"list": "spans", "autocomplete": "off"}),
        label=_("Until"),
        help_text=_("4h, 2d, or a time as 2026-05-01T08:00+02:00; empty: until somebody lifts it."),
    )

    def __init__(self, actor: Actor, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["scope"].choices = scopes_of(actor)  # type: ignore[attr-defined]
        self.fields["tenant"].queryset = visible_to(actor, Tenant.objects.all(), "campaigns.stop")  # type: ignore[attr-defined]


class HoldsFilter(admin.SimpleListFilter):
    """Those that hold now, or those that are over."""

    title, parameter_name = _("state"), "holds"

    def lookups(self, request, model_admin):
        return [("yes", _("stands still")), ("no", _("over"))]

    def queryset(self, request, queryset):
        if self.value() not in ("yes", "no"):
            return queryset
        holds = stops.standing().order_by().values("pk")
        return queryset.filter(pk__in=holds) if self.value() == "yes" else queryset.exclude(pk__in=holds)


@admin.register(Stop)
class StopAdmin(TenantAdmin):
    area = "mailboxes"  # stops name pools, servers and domains: nothing for a client's people
    list_display = (
        "standing", "scope_label", "label", "tenant", "mailboxes", "campaigns", "waiting", "reason", "who",
        "since_when", "until", "lifted_at",
    )  # fmt: skip
    fieldsets = (
        (None, {"fields": ("standing", "scope_label", "label", "tenant", "operator", "organisational")}),
        (_("Why and how long"), {"fields": ("cause", "reason", "who", "since", "until", "lifted_at")}),
        (_("What it concerns now"), {"fields": ("tenants", "mailboxes", "campaigns", "waiting")}),
    )
    list_filter = ("scope", "cause", HoldsFilter, "tenant")
    list_select_related = ("tenant",)
    sortable_by = ()
    actions = ("lift",)
    add_form, add_permission = PullForm, "campaigns.stop"

    scope_label = labelled("scope", _("scope"))

    def get_ordering(self, request):
        return (F("lifted_at").desc(nulls_first=True), "-pk")  # what holds stands on top

    # --- what stands still ----------------------------------------------------------------------------------

    def get_changelist_instance(self, request):
        changelist = super().get_changelist_instance(request)
        self._tell(request, list(changelist.result_list))
        return changelist

    def get_object(self, request, object_id, from_field=None):
        row = super().get_object(request, object_id, from_field)
        if row is not None:
            self._tell(request, [row])
        return row

    def _tell(self, request: Any, rows: list[Stop]) -> None:
        """Who pulled each, and how much the open ones concern: two questions for all of them."""
        events = history.event_model(Stop)
        made = list(events._base_manager.filter(id__in=[row.pk for row in rows], pgh_label="insert"))
        lines = history.Lines(self.admin_site, request, events, {}).of(made)
        who = {event.id: line["who"] for event, line in zip(made, lines, strict=True)}
        standing = [row for row in rows if row.is_open(now())]
        key = ("covered", request.actor.tenants_with("campaigns.view"), tuple(row.pk for row in standing))
        counts = kept(key, lambda: covering.count(standing)) if standing else []
        covered = {row.pk: figures for row, figures in zip(standing, counts, strict=True)}
        for row in rows:
            row.told = (who.get(row.pk, ""), covered.get(row.pk))  # type: ignore[attr-defined]

    def _covered(self, row: Stop, name: str) -> Any:
        covered: Covered | None = row.told[1]  # type: ignore[attr-defined]
        return "" if covered is None else f"{getattr(covered, name):,}"

    @admin.display(description=_("state"))
    def standing(self, row):
        return state("halted", _now("stands still")) if row.is_open(now()) else state("completed", _now("over"))

    @admin.display(description=_("who"))
    def who(self, row):
        return row.told[0]

    @admin.display(description=_("since"))
    def since_when(self, row):
        return since(row.since)

    @admin.display(description=_("tenants"))
    def tenants(self, row):
        return self._covered(row, "tenants")

    @admin.display(description=_("mailboxes"))
    def mailboxes(self, row):
        lookup = {"pool": "pool__id__exact", "domain": "domain__id__exact", "account": "home__id__exact"}.get(row.scope)
        text = self._covered(row, "mailboxes")
        return link_to("mailboxes_mailbox", text, **{lookup: row.key}) if lookup else text

    @admin.display(description=_("campaigns"))
    def campaigns(self, row):
        return self._covered(row, "campaigns")

    @admin.display(description=_("mail that waits"))
    def waiting(self, row):
        covered = row.told[1]
        return "" if covered is None else f"{covered.messages + covered.people:,}"

    # --- pulling and lifting --------------------------------------------------------------------------------

    def has_add_permission(self, request, obj=None):
        return bool(scopes_of(request.actor))

    def add_view(self, request, form_url="", extra_context=None):
        """A form, then what it would stop, then the stop: nothing is done before that was shown."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        given = request.GET
        initial = {name: given[name][:300] for name in ("scope", "target", "tenant") if name in given}
        form = PullForm(request.actor, request.POST or None, initial=initial)
        if request.method == "POST" and form.is_valid():
            try:
                return self._pull(request, form.cleaned_data)
            except OutreachError as error:
                field = str(error.details.get("field", ""))
                form.add_error(field if field in form.fields else None, str(error))
        scope = str(form["scope"].value() or "")
        context = {
            **self.admin_site.each_context(request),
            "title": _("Stop"),
            "opts": self.opts,
            "form": form,
            "scopes": [(value, label, value == scope) for value, label in scopes_of(request.actor)],
            "names": names_of(scope, request.actor) if scope in dict(scopes_of(request.actor)) else (),
            "spans": SPANS,
        }
        return TemplateResponse(request, "console/stop_pull.html", context)

    def _pull(self, request: Any, values: dict[str, Any]) -> HttpResponse:
        scope, actor = values["scope"], request.actor
        target = stops.find(
            scope, values["target"], tenant=values["tenant"], organisational=values["organisational"], actor=actor
        )
        until = stops.parse_until(values["until"], now())
        stop, covered = stops.preview(scope, target, actor=actor)
        if request.POST.get("confirmed"):
            stop = stops.pull(scope, target, actor=actor, reason=values["reason"], until=until)
            text = ngettext(
                "%(stop)s stands still; %(n)s message was taken back.",
                "%(stop)s stands still; %(n)s messages were taken back.",
                stop.taken_back,
            )
            self.message_user(request, text % {"stop": stop, "n": f"{stop.taken_back:,}"}, messages.SUCCESS)
            in_sight = self.get_queryset(request).filter(pk=stop.pk).exists()
            return HttpResponseRedirect(self.url_of(stop) if in_sight else request.path)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Stop: %s") % stop,
            "opts": self.opts,
            "stop": stop,
            "covered": covered,
            "until": until,
            "reason": values["reason"],
            "given": [(name, request.POST.get(name, "")) for name in PullForm.base_fields],
            "back": request.get_full_path(),
        }
        return TemplateResponse(request, "console/stop_confirm.html", context)

    def detail_actions(self, request: Any, row: Any) -> list[dict[str, str]]:
        offered = super().detail_actions(request, row)
        return [action for action in offered if action["name"] != "lift" or row.is_open(now())]

    @admin.action(description=_("Lift"), permissions=["lift"])
    def lift(self, request, queryset):
        question = _("Mail goes on at once, at the pace of its mailboxes: nothing that was held comes in one burst.")
        return self.ask(request, queryset, stops.lift, question=question)

    def has_lift_permission(self, request):
        return request.actor.can("campaigns.stop")
