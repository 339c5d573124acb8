"""The History page of a row: what became of it, who did it, from where."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from django.contrib.admin.utils import quote
from django.core.paginator import Paginator
from django.db.models import Field, Model, QuerySet
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.text import Truncator, capfirst
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tenants.admin.columns import row_link
from tenants.models import User
from tenants.services import actors

PER_PAGE = 50
SHOWN_CHARACTERS, SHOWN_BEFORE = 300, 40  # of a long text, and of that what stands before the first difference
SEEN_BY = "tenants.administer"  # who may look at people may know from where they came
KINDS = {"insert": gettext_lazy("made"), "update": gettext_lazy("changed"), "delete": gettext_lazy("deleted")}
VIAS = {
    "request": gettext_lazy("console"),
    "api": gettext_lazy("API"),
    "command": gettext_lazy("command"),
    "job": gettext_lazy("job"),
    "cron": gettext_lazy("cron"),
}


def event_model(model: Any) -> Any:
    """The table with the events of a model's rows; None when it has none."""
    return next(iter(getattr(model, "pgh_event_models", {}).values()), None)


def page(model_admin: Any, request: Any, row: Model) -> TemplateResponse:
    """The events of one row, newest first; ?field= shows those that changed it."""
    events = event_model(model_admin.model)
    rows = events._base_manager.filter(id=row.pk).order_by("-pgh_id")
    if any(field.name == "tenant" for field in events._meta.fields):
        permission = model_admin.view_permission or f"{model_admin.area}.view"
        rows = actors.visible_to(request.actor, rows, permission)
    fields = _fields(events)
    chosen = request.GET.get("field", "")
    if chosen in fields:
        rows = rows.filter(pgh_before__has_key=chosen)
    found = Paginator(rows, PER_PAGE).get_page(request.GET.get("p"))
    context = {
        **model_admin.admin_site.each_context(request),
        "title": _("History: %s") % row,
        "opts": model_admin.opts,
        "row": row,
        "back": reverse(
            f"admin:{model_admin.opts.app_label}_{model_admin.opts.model_name}_change", args=[quote(row.pk)]
        ),
        "found": found,
        "lines": Lines(model_admin.admin_site, request, events, fields).of(list(found)),
        "fields": [(name, _title(field)) for name, field in sorted(fields.items())],
        "chosen": chosen if chosen in fields else "",
    }
    return TemplateResponse(request, "console/history.html", context)


def _fields(events: Any) -> dict[str, Field]:
    """The fields whose changes are kept, as the tracked model has them."""
    return {field.name: field for field in events.pgh_tracked_model._meta.fields if field.name in events.pgh_compared}


def _title(field: Field) -> str:
    return capfirst(str(field.verbose_name))


def from_difference(before: Any, after: Any) -> tuple[Any, Any]:
    """Two long texts cut to where they part, so that what changed stands there; short ones as they are."""
    if max(len(before), len(after)) <= SHOWN_CHARACTERS:
        return before, after
    same = len(os.path.commonprefix([before, after]))
    start = max(0, same - SHOWN_BEFORE)
    lead = "…" if start else ""
    return tuple(lead + Truncator(text[start:]).chars(SHOWN_CHARACTERS) if text else "" for text in (before, after))  # type: ignore[return-value]


class Lines:
    """Turns events into what a page shows: names of rows that this person may see, numbers for the others."""

    def __init__(self, site: Any, request: Any, events: Any, fields: dict[str, Field]) -> None:
        self.site, self.request, self.events, self.fields = site, request, events, fields
        self.names: dict[tuple[str, int], str] = {}

    def of(self, rows: list[Any]) -> list[dict[str, Any]]:
        self._look_up(rows)
        return [
            {
                "at": row.pgh_created_at,
                "kind": KINDS.get(row.pgh_label, row.pgh_label),
                "label": row.pgh_label,
                "changes": list(self._changes(row)),
                **self._origin(row.pgh_context if isinstance(row.pgh_context, dict) else {}),
            }
            for row in rows
        ]

    # --- what -----------------------------------------------------------------------------------------------

    def _changes(self, row: Any) -> Iterable[dict[str, Any]]:
        updated = row.pgh_label == "update"
        for name, field in self.fields.items():
            if updated and name not in (row.pgh_before or {}):
                continue
            if name in self.events.pgh_secrets:
                if updated:
                    yield {"title": _title(field), "secret": True}
                continue
            now = self._shown(field, getattr(row, self.events._meta.get_field(name).attname))
            if updated:
                before, now = from_difference(self._shown(field, row.pgh_before[name]), now)
                yield {"title": _title(field), "before": before, "after": now}
            elif now and name not in ("tenant", "created_at"):
                yield {"title": _title(field), "after": Truncator(now).chars(SHOWN_CHARACTERS)}

    def _shown(self, field: Field, value: Any) -> Any:
        if value in (None, "", []):
            return ""
        if field.is_relation:
            return self._link(field.related_model, value)
        if field.choices:
            return dict(field.flatchoices).get(value, value)
        if isinstance(value, str) and field.get_internal_type() in ("DateTimeField", "DateField"):
            value = field.to_python(value)  # as it stands in JSON
        if isinstance(value, bool):
            return _("yes") if value else _("no")
        if isinstance(value, datetime):
            return date_format(localtime(value), "Y-m-d H:i:s")
        if isinstance(value, date):
            return date_format(value, "Y-m-d")
        if isinstance(value, list):
            return ", ".join(map(str, value))
        return str(value)

    # --- who and from where ---------------------------------------------------------------------------------

    def _origin(self, context: dict[str, Any]) -> dict[str, Any]:
        known = {name: value for name, value in context.items() if type(value) in (str, int)}
        may_see = self.request.actor.can(SEEN_BY)
        return {
            "who": self._who(known),
            "via": VIAS.get(str(known.get("via", "")), ""),
            "name": self._name(known, may_see),
            "ip": known.get("ip", "") if may_see else "",
            "request_id": known.get("request_id", ""),
        }

    def _name(self, known: dict[str, Any], may_see: bool) -> str:
        """The command, task or route; a route is a matter of who may see people as well."""
        if known.get("via") not in ("request", "api"):
            return str(known.get("name", ""))
        return f"/{known['name']}" if may_see and known.get("name") else ""

    def _who(self, known: dict[str, Any]) -> Any:
        user, key = known.get("user_id"), known.get("key_id")
        if isinstance(user, int):
            return self._link(User, user)
        if isinstance(key, int):
            return row_link("tenants_apikey", key, _("key %d") % key)
        if known.get("actor_kind") == "system":
            return _("the system")
        return _("nobody signed in") if known else _("not known: SQL by hand")

    # --- names ----------------------------------------------------------------------------------------------

    def _look_up(self, rows: list[Any]) -> None:
        """The names of all rows that these events speak of, one query for each model."""
        wanted: dict[Any, set[int]] = defaultdict(set)
        for row in rows:
            for name, field in self.fields.items():
                if field.is_relation:
                    before = (row.pgh_before or {}).get(name)
                    values = (before, getattr(row, self.events._meta.get_field(name).attname))
                    wanted[field.related_model] |= {value for value in values if isinstance(value, int)}
            user = (row.pgh_context or {}).get("user_id") if isinstance(row.pgh_context, dict) else None
            wanted[User] |= {user} if isinstance(user, int) else set()
        for model, ids in wanted.items():
            seen = self._seen(model)
            for found in seen.filter(pk__in=ids) if seen is not None and ids else ():
                self.names[model._meta.label, found.pk] = str(found)

    def _seen(self, model: Any) -> QuerySet | None:
        """The rows of a model that this person may see; of people one's own is always among them."""
        pages = self.site._registry.get(model)
        if pages is not None and pages.has_view_permission(self.request):
            return pages.get_queryset(self.request)
        return model._base_manager.filter(pk=self.request.actor.user_id) if model is User else None

    def _link(self, model: Any, pk: int) -> Any:
        name = self.names.get((model._meta.label, pk))
        if name is None:
            return f"{model._meta.verbose_name} {pk}"
        if not self.site._registry[model].has_view_permission(self.request):
            return name
        return row_link(f"{model._meta.app_label}_{model._meta.model_name}", pk, name)
