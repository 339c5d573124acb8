"""The addresses behind links, for somebody who may look at what they lead to."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.urls import reverse
from django.utils.http import urlencode

from outreach.common.links import Link


def url_of(request: Any, link: Link | None) -> str:
    """The link's address; empty where there is none, and for who may not see such rows."""
    if link is None:
        return ""
    page = admin.site._registry.get(apps.get_model(*link.model.split("_", 1)))
    if page is None or not page.has_view_permission(request):
        return ""
    if link.pk is not None:
        return reverse(f"admin:{link.model}_{link.page}", args=[link.pk])
    return f"{reverse(f'admin:{link.model}_changelist')}?{urlencode(link.lookups)}"
