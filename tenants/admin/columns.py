"""Cells that lists share: coloured states, numbers that open their rows."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from unfold.decorators import display

# One colour for one meaning, on every page.
COLOURS = {
    "active": "success", "running": "success", "sent": "success", "verified": "success", "completed": "success",
    "done": "success", "yes": "success",
    "ramping": "info", "scheduled": "info", "probing": "info", "claimed": "info", "committing": "info",
    "planned": "info", "review": "info", "new": "info",
    "paused": "warning", "deferred": "warning", "uncertain": "warning", "degraded": "warning", "quarantined": "warning",
    "suppressed": "warning", "locked": "danger", "sign_in_failed": "danger", "halted": "danger", "failed": "danger",
    "suspended": "danger", "blocked": "danger", "stopped": "danger", "no": "danger",
}  # fmt: skip


def labelled(field: str, description: Any, *, hide: tuple[str, ...] = ()) -> Any:
    """A column that shows a choice field as a coloured label; values in `hide` leave the cell empty."""

    @display(description=description, ordering=field, label=COLOURS, empty_value="")
    def column(self: Any, row: Any) -> Any:
        value = getattr(row, field)
        return None if value in hide else (value, getattr(row, f"get_{field}_display")())

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
