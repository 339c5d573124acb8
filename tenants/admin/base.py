"""What every page of the console shares: who may see it, acts through services, nothing deleted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import FieldDoesNotExist, PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin, TabularInline

from outreach.common.errors import OutreachError
from tenants.admin import history
from tenants.admin.acting import ActsOnRows
from tenants.admin.paginator import EstimatedPaginator
from tenants.services import actors
from tenants.sign_in import recently_verified, verify_first

STOP_TITLES = {
    "tenant": gettext_lazy("Stop this tenant…"),
    "organisation": gettext_lazy("Stop this organisation…"),
    "account": gettext_lazy("Stop this account…"),
    "domain": gettext_lazy("Stop this domain…"),
    "pool": gettext_lazy("Stop this pool…"),
    "campaign": gettext_lazy("Stop this campaign…"),
}


class ReadOnly:
    """Nothing is added, changed or deleted by hand; `area` names the permission `area.view`."""

    area: ClassVar[str] = "tenants"
    view_permission: ClassVar[str] = ""

    def has_view_permission(self, request: Any, obj: Any = None) -> bool:
        return request.actor.can(self.view_permission or f"{self.area}.view", getattr(obj, "tenant_id", None))

    def has_module_permission(self, request: Any) -> bool:
        return self.has_view_permission(request)

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False


class ReadOnlyInline(ReadOnly, TabularInline):
    """Rows below a row, to look at."""

    extra = 0
    can_delete = False
    show_change_link = True

    def get_readonly_fields(self, request: Any, obj: Any = None) -> Any:
        return self.fields


class TenantAdmin(ReadOnly, ActsOnRows, ModelAdmin):
    """A list and a detail page. State is read-only; each action has its own permission and calls one service.

    `linked_by` lists the lookups by which other pages link here (`campaign__id__exact`); no others work,
    so that a query string can't feel out columns that no page shows. `targets` names the state that an
    action leads to: the detail page offers it only from states that may become it. `dangerous` names the acts
    (actions, and "add") before which a person enters a code again; what stops something is never among them.
    `stops` names the scopes of the stop lever that a row belongs to, each with the attribute that has the id.
    """

    linked_by: ClassVar[tuple[str, ...]] = ()
    targets: ClassVar[Mapping[str, str]] = {}
    is_of_audit: ClassVar[bool] = False
    dangerous: ClassVar[frozenset[str]] = frozenset()
    stops: ClassVar[Mapping[str, str]] = {}
    add_form: ClassVar[type[forms.Form] | None] = None
    add_permission: ClassVar[str] = ""

    list_per_page = 50
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = EstimatedPaginator
    list_fullwidth = True
    list_before_template = "console/linked_by.html"
    change_form_template = "console/detail.html"
    change_form_outer_before_template = "console/detail_actions.html"
    sortable_by: Any = None

    # --- what is seen ---------------------------------------------------------------------------------

    def visible_to(self, request: Any, queryset: QuerySet) -> QuerySet:
        """The rows that this person may know of."""
        return actors.visible_to(request.actor, queryset, self.view_permission or f"{self.area}.view")

    def get_queryset(self, request: Any) -> QuerySet:
        return self.visible_to(request, super().get_queryset(request))

    def lookup_allowed(self, lookup: str, value: Any, request: Any = None) -> bool:
        """Only the filters and links of the page: Django alone would let ?password__startswith= through."""
        if lookup in self.linked_by:
            return True
        for entry in self.get_list_filter(request):
            name = entry[0] if isinstance(entry, (tuple, list)) else entry
            if lookup == getattr(entry, "parameter_name", None):
                return True
            if isinstance(name, str) and (lookup == name or lookup.startswith(f"{name}__")):
                rest = lookup.removeprefix(name)
                return rest in {"", "__exact", "__id__exact", "__isnull", "__in", "__gte", "__lt", "__lte", "__gt"}
        return False

    def to_field_allowed(self, request: Any, to_field: str) -> bool:
        return to_field == self.model._meta.pk.name

    def changelist_view(self, request: Any, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        extra = {"linked": self._linked(request), **(extra_context or {})}
        return super().changelist_view(request, extra)

    def get_changelist_instance(self, request: Any) -> Any:
        """The count stands below the list, where it can say "about"; the header stays without."""
        changelist = super().get_changelist_instance(request)
        changelist.full_result_count = changelist.result_count
        return changelist

    def _linked(self, request: Any) -> list[dict[str, str]]:
        """The links that narrow this list, each with its row's name and the address without it."""
        found = []
        for lookup in self.linked_by:
            if lookup not in request.GET:
                continue
            rest = request.GET.copy()
            value = rest.pop(lookup)[-1]
            found.append({"name": self._link_name(request, lookup, value), "without": f"?{rest.urlencode()}"})
        return found

    def _link_name(self, request: Any, lookup: str, value: str) -> str:
        name = lookup.split("__")[0]
        try:
            field = self.model._meta.get_field(name)
        except FieldDoesNotExist:
            return f"{name}: {value}"
        title = capfirst(getattr(field, "verbose_name", name))
        if field.is_relation and value.isdecimal():
            target = self.admin_site._registry.get(field.related_model)
            shown = target is not None and target.has_view_permission(request)  # else its name would tell
            row = target.get_queryset(request).filter(pk=value[:18]).first() if shown else None
            return f"{title}: {row or value}"
        return f"{title}: {value}"

    # --- one row --------------------------------------------------------------------------------------

    def change_view(
        self, request: Any, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        extra = {"show_history": history.event_model(self.model) is not None, **(extra_context or {})}
        if request.method == "GET":
            row = self.get_object(request, object_id)
            if row is None:
                raise Http404
            extra |= {"detail_actions": self.detail_actions(request, row), "detail_row": row}
            extra["stop_links"] = self._stop_links(request, row)
            if request.actor.can("tenants.audit", getattr(row, "tenant_id", None)) and not self.is_of_audit:
                of_row = urlencode({"subject": row._meta.label, "subject_id": row.pk})
                extra["audit_url"] = f"{reverse('admin:tenants_auditentry_changelist')}?{of_row}"
        return super().change_view(request, object_id, form_url, extra)

    def _stop_links(self, request: Any, row: Model) -> list[tuple[str, Any]]:
        """Address and title of the stops that this person may pull from here."""
        tenant_id = row.pk if row._meta.label == "tenants.Tenant" else getattr(row, "tenant_id", None)
        permission = "campaigns.stop" if tenant_id else "campaigns.stop_platform"
        if not self.stops or not request.actor.can(permission, tenant_id):
            return []
        page = reverse("admin:campaigns_stop_add")
        return [
            (f"{page}?{urlencode({'scope': scope, 'target': getattr(row, attribute)})}", STOP_TITLES[scope])
            for scope, attribute in self.stops.items()
        ]

    def detail_actions(self, request: Any, row: Model) -> list[dict[str, str]]:
        """The acts that this person may do and this row's state allows."""
        state = getattr(row, getattr(row, "STATE_FIELD", ""), None)
        offered = []
        for name, (_function, _key, title) in self.get_actions(request).items():
            target = self.targets.get(name)
            if target is None or state is None or target in type(row).MOVES.get(state, ()):  # type: ignore[attr-defined]
                offered.append({"name": name, "title": str(title)})
        return offered

    def history_view(self, request: Any, object_id: str, extra_context: Any = None) -> HttpResponse:
        """What the triggers of the history noted of this row, for who may see the row."""
        row = self.get_object(request, unquote(object_id)) if history.event_model(self.model) else None
        if row is None:
            raise Http404
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        return history.page(self, request, row)

    def log_addition(self, request: Any, obj: Any, message: Any) -> None:
        """Nothing: the services record named actions."""

    def log_change(self, request: Any, obj: Any, message: Any) -> None:
        """Nothing: the services record named actions."""

    def url_of(self, row: Model) -> str:
        return reverse(self._named("change"), args=[quote(row.pk)])

    def _named(self, page: str) -> str:
        return f"admin:{self.opts.app_label}_{self.opts.model_name}_{page}"

    # --- adding by hand, where a service does it --------------------------------------------------------

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        return self.add_form is not None and request.actor.can(self.add_permission)

    def add_with(self, request: Any, values: dict[str, Any]) -> HttpResponse | Model:
        """Call the service; return the new row, or an answer of its own."""
        raise NotImplementedError

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request) or self.add_form is None:
            raise PermissionDenied
        if "add" in self.dangerous and not recently_verified(request):
            return verify_first(request.get_full_path())
        form = self.add_form(request.POST or None)
        title = capfirst(_("new %s") % self.opts.verbose_name)
        return self.form_page(request, form, title=title, save=lambda values: self.add_with(request, values))

    def form_page(
        self,
        request: Any,
        form: forms.Form,
        *,
        title: Any,
        save: Callable[[dict[str, Any]], HttpResponse | Model],
        done: Any = None,
    ) -> HttpResponse:
        """A page with one form; `save` calls a service, whose refusal stands at the field that it names."""
        if request.method == "POST" and form.is_valid():
            try:
                made = save(form.cleaned_data)
            except OutreachError as error:
                field = str(error.details.get("field", ""))
                form.add_error(field if field in form.fields else None, str(error))
            else:
                if isinstance(made, HttpResponse):
                    return made
                self.message_user(request, done or _("Added: %s") % made, messages.SUCCESS)
                in_sight = self.has_view_permission(request) and self.get_queryset(request).filter(pk=made.pk).exists()
                return HttpResponseRedirect(self.url_of(made) if in_sight else reverse("admin:index"))
        context = {**self.admin_site.each_context(request), "title": title, "form": form, "opts": self.opts}
        return TemplateResponse(request, "console/add.html", context)
