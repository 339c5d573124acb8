"""The admin site: nobody gets in without a second factor."""

from __future__ import annotations

from typing import Any

from django.templatetags.static import static
from django.urls import path
from django.utils.translation import gettext_lazy as _
from django_otp.admin import OTPAdminSite
from unfold.sites import UnfoldAdminSite

from outreach.console.look import BLUE, LOOK, is_superuser
from outreach.console.signing_in import SignInForm


class ConsoleSite(OTPAdminSite, UnfoldAdminSite):
    """Unfold's looks on django_otp's rule: `has_permission` wants a verified second factor of everybody."""

    login_form = SignInForm
    login_template = "console/login.html"
    index_template = "console/index.html"
    index_title = _("Overview")
    enable_nav_sidebar = True

    def __init__(self, name: str = "admin") -> None:
        super().__init__(name)

    def extra_urls(self) -> list[Any]:
        """The custom pages; imported late, since they use models."""
        from outreach.console import dashboard, people

        return [
            path("invitation/<str:token>/", people.invitation, name="invitation"),  # for somebody without an account
            path("break-glass/", self.admin_view(people.break_glass), name="break_glass"),
            path("break-glass/end/", self.admin_view(people.end_glass), name="end_glass"),
            path("roles/", self.admin_view(people.roles), name="roles"),
            path("live/", self.admin_view(dashboard.live), name="live"),
            path("sent.json", self.admin_view(dashboard.sent), name="sent_chart"),
            path("uncertain/", self.admin_view(dashboard.uncertain), name="uncertain"),
        ]

    def index(self, request: Any, extra_context: dict[str, Any] | None = None) -> Any:
        from outreach.console import dashboard

        return super().index(request, {**dashboard.overview(request), **(extra_context or {})})

    def each_context(self, request: Any) -> dict[str, Any]:
        context = super().each_context(request)
        context["styles"] = [static("console/vendor/uplot/uPlot.min.css"), static("console/console.css")]
        if is_superuser(request):
            from tenants.services import members

            context["broken_glass"] = members.broken_by(request.actor)
        context["scripts"] = [static("console/vendor/uplot/uPlot.iife.min.js"), static("console/console.js")]
        return context

    def _get_config(self, key: str, *args: Any) -> Any:
        """Unfold's settings come from look.py, not from the project's settings."""
        if key in LOOK:
            return LOOK[key]
        found = super()._get_config(key, *args)
        return {**found, "primary": dict(BLUE)} if key == "COLORS" else found
