"""Other people's models on our site: looked at by platform admins only, and without their secrets."""

from __future__ import annotations

from functools import wraps
from typing import Any

import axes.admin  # noqa: F401  # each registers itself; imported first, so that it is over by the time we replace it
import django_rq.admin
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib import admin
from django.contrib.auth.admin import Group
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django_rq import models as rq_models
from django_rq import urls as rq_urls

from tenants.admin.base import TenantAdmin

for model in (AccessAttempt, AccessFailureLog, AccessLog, Group, rq_models.Dashboard):
    if admin.site.is_registered(model):
        admin.site.unregister(model)


class PlatformAdmin(TenantAdmin):
    """Rows of the platform, for platform admins."""

    view_permission = "tenants.administer"

    def visible_to(self, request, queryset):
        return queryset


class SignInsAdmin(PlatformAdmin):
    """What axes noted; the submitted forms stay out."""

    search_fields = ("username", "ip_address")
    ordering = ("-attempt_time",)


@admin.register(AccessAttempt)
class AccessAttemptAdmin(SignInsAdmin):
    list_display = ("attempt_time", "username", "ip_address", "failures_since_start", "user_agent")
    fields = (*list_display, "path_info")


@admin.register(AccessLog)
class AccessLogAdmin(SignInsAdmin):
    list_display = ("attempt_time", "username", "ip_address", "logout_time", "user_agent")
    fields = (*list_display, "path_info")


@admin.register(rq_models.Dashboard)
class QueueAdmin(PlatformAdmin):
    """django-rq's own pages, for platform admins only: they can empty a queue.

    Its JSON pages, which ask for no second factor by themselves, are behind the same door.
    """

    def get_urls(self) -> list[Any]:
        def guarded(view: Any) -> Any:
            @wraps(view)
            def inner(request: Any, *args: Any, **kwargs: Any) -> HttpResponse:
                if not self.has_view_permission(request):
                    raise PermissionDenied
                request.current_app = self.admin_site.name
                return view(request, *args, **kwargs)

            return self.admin_site.admin_view(inner)

        # The model has no table, so that the list is its only page.
        lists = [entry for entry in super().get_urls() if not {"object_id"} & entry.pattern.converters.keys()]
        pages = rq_urls.get_admin_urlpatterns(name_prefix="django_rq_", view_wrapper=guarded)
        data = rq_urls.get_api_urlpatterns(name_prefix="django_rq_")
        for page in data:
            page.callback = guarded(page.callback)
        return [*data, *pages, *lists]

    def changelist_view(self, request: Any, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return django_rq.admin.stats_views.stats(request)
