"""The admin site: nobody gets in without a second factor."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.exceptions import BadRequest
from django.core.paginator import InvalidPage
from django.http import Http404
from django.templatetags.static import static
from django.urls import path, reverse
from django.utils.translation import gettext_lazy as _
from django_otp.admin import OTPAdminSite
from unfold.sites import UnfoldAdminSite

from outreach.common import counting, origins
from outreach.console import lockout, steps
from outreach.console.look import LOOK, is_superuser
from outreach.console.signing_in import SignInForm
from tenants.services import sessions
from tenants.sign_in import is_in

SIGN_INS_PER_MINUTE = 60  # from one place, whatever became of them


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
        from outreach.console import account, dashboard, explain, people, waiting

        return [
            path("second-factor/", account.second_factor, name="second_factor"),  # for who is half in, like the next
            path("password/", account.password, name="password_change"),
            path("verify/", self.admin_view(account.verify), name="verify"),
            path("account/", self.admin_view(account.account), name="account"),
            path("account/codes/", self.admin_view(account.new_codes), name="new_codes"),
            path("account/sessions/<int:pk>/end/", self.admin_view(account.end_session), name="end_session"),
            path("account/sessions/end/", self.admin_view(account.end_others), name="end_others"),
            path("invitation/<str:token>/", people.invitation, name="invitation"),  # for somebody without an account
            path("break-glass/", self.admin_view(people.break_glass), name="break_glass"),
            path("break-glass/end/", self.admin_view(people.end_glass), name="end_glass"),
            path("roles/", self.admin_view(people.roles), name="roles"),
            path("explain/campaign/<int:pk>/", self.admin_view(explain.campaign), name="explain_campaign"),
            path("explain/mailbox/<int:pk>/", self.admin_view(explain.mailbox), name="explain_mailbox"),
            path("explain/tenant/<int:pk>/", self.admin_view(explain.tenant), name="explain_tenant"),
            path("explain/contact/<int:pk>/", self.admin_view(explain.contact), name="explain_contact"),
            path("explain/message/<int:pk>/", self.admin_view(explain.message), name="explain_message"),
            path("live/", self.admin_view(dashboard.live), name="live"),
            path("sent.json", self.admin_view(dashboard.sent), name="sent_chart"),
            path("waiting/", self.admin_view(waiting.waiting), name="waiting"),
            path("waiting/<slug:slug>/records.<slug:kind>", self.admin_view(waiting.records), name="waiting_records"),
            path("uncertain/", self.admin_view(dashboard.uncertain), name="uncertain"),
        ]

    def get_urls(self) -> list[Any]:
        """Our pages in the place of Django's of the same name; none for the public, since no row here has one."""
        ours = self.extra_urls()
        names = {entry.name for entry in ours} | {"view_on_site", "password_change_done"}
        others = [entry for entry in super().get_urls() if getattr(entry, "name", None) not in names]
        return [*ours, *others]

    def has_permission(self, request: Any) -> bool:
        """Nobody without a second factor, or with a password that somebody else knows."""
        return super().has_permission(request) and is_in(request.user)

    def login(self, request: Any, extra_context: dict[str, Any] | None = None) -> Any:
        """Who has shown the password and lacks something yet is led to where that is done."""
        if request.method == "POST" and counting.count(f"sign-in:{origins.place_of(request)}") > SIGN_INS_PER_MINUTE:
            return lockout.later(request, counting.WINDOW_SECONDS)
        step = steps.next_step(request)
        if request.method == "GET" and step is not None:
            return steps.redirect_to(step, steps.goal(request))
        before = request.session.session_key
        answer = super().login(request, extra_context)
        if before and before != request.session.session_key:  # who signs in anew leaves the session of before
            sessions.close(before)
        return answer

    def _get_account_links(self, request: Any) -> list[dict[str, Any]]:
        return [{"title": _("Your sign-in"), "link": reverse("admin:account")}]

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Callable[..., Any]:
        """Every page refuses a NUL in its address, which PostgreSQL takes in no text; search boxes (q) say so."""

        @wraps(view)
        def without_nul(request: Any, *args: Any, **kwargs: Any) -> Any:
            if any("\0" in part for part in (request.path, *request.GET, *_values(request.GET))):
                raise BadRequest("The address holds a NUL character.")
            return view(request, *args, **kwargs)

        return super().admin_view(without_nul, cacheable)

    def search(self, request: Any, extra_context: dict[str, Any] | None = None) -> Any:
        """The side bar's search; a page that is none is not found."""
        try:
            return super().search(request, extra_context)
        except (InvalidPage, ValueError) as error:
            raise Http404 from error

    def index(self, request: Any, extra_context: dict[str, Any] | None = None) -> Any:
        from outreach.console import dashboard

        return super().index(request, {**dashboard.overview(request), **(extra_context or {})})

    def each_context(self, request: Any) -> dict[str, Any]:
        context = super().each_context(request)
        context["styles"] = [static("console/vendor/uplot/uPlot.min.css"), static("console/console.css")]
        if self.has_permission(request):
            from outreach.console import standing

            context["wide_stops"] = standing.wide(request.actor)
        if is_superuser(request):
            from tenants.services import members

            context["broken_glass"] = members.broken_by(request.actor)
        context["scripts"] = [static("console/vendor/uplot/uPlot.iife.min.js"), static("console/console.js")]
        return context

    def _get_config(self, key: str, *args: Any) -> Any:
        """Unfold's settings come from look.py, not from the project's settings."""
        return LOOK[key] if key in LOOK else super()._get_config(key, *args)


def _values(given: Any) -> list[str]:
    return [value for name, values in given.lists() if name != "q" for value in values]
