"""Cells that lists share: coloured states, numbers that open their rows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.timezone import now
from django.utils.translation import gettext as _


def state(value: str, text: Any) -> SafeString:
    """A state as a coloured label; console.css gives each value its colour, the same on every page."""
    return format_html('<span class="state state-{}">{}</span>', value, text)


def labelled(field: str, description: Any, *, hide: tuple[str, ...] = ()) -> Any:
    """A column that shows a choice field as a coloured label; values in `hide` leave the cell empty."""

    @admin.display(description=description, ordering=field, empty_value="")
    def column(self: Any, row: Any) -> Any:
        value = getattr(row, field)
        return None if value in hide else state(value, getattr(row, f"get_{field}_display")())

    return column


def link_to(model: str, text: Any, **lookups: Any) -> SafeString | str:
    """A link to the list of `app_model`, narrowed by the lookups; nothing to show for an empty text."""
    if text in (None, ""):
        return ""
    url = f"{reverse(f'admin:{model}_changelist')}?{urlencode(lookups)}"
    return format_html('<a class="cell-link" href="{}">{}</a>', url, text)


def row_link(model: str, pk: int | None, text: Any) -> SafeString | str:
    """A link to the detail page of one row."""
    if pk is None:
        return ""
    return format_html('<a class="cell-link" href="{}">{}</a>', reverse(f"admin:{model}_change", args=[pk]), text)


def since(moment: datetime | None) -> str:
    """How long ago, coarsely; the exact time stands on the detail page."""
    if moment is None:
        return ""
    passed = now() - moment
    if passed < timedelta(minutes=1):
        return _("just now")
    if passed < timedelta(hours=1):
        return _("%d min ago") % (passed.total_seconds() // 60)
    if passed < timedelta(days=1):
        return _("%d h ago") % (passed.total_seconds() // 3600)
    return _("%d days ago") % passed.days
