"""Pages about who may: taking an invitation, breaking the glass, the table of roles."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from outreach.common import counting, origins
from outreach.common.errors import Missing, OutreachError
from outreach.console import steps
from outreach.console.look import is_superuser
from tenants import permissions
from tenants.services import invitations, members
from tenants.sign_in import keep_session

WRONG_LINKS_PER_MINUTE = 30  # from one address; right ones are never held up
# The link stays secret: no page learns its path. Not no-referrer, by which browsers post the form with
# `Origin: null`, and the CSRF check refuses that.
HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "strict-origin", "X-Robots-Tag": "noindex, nofollow"}


class PasswordForm(forms.Form):
    """The password of somebody new, twice."""

    password = forms.CharField(
        max_length=200,
        strip=False,
        label=_("Password"),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "autofocus": True}),
    )
    again = forms.CharField(
        max_length=200,
        strip=False,
        label=_("The same again"),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if values.get("password") and values.get("again") and values["password"] != values["again"]:
            self.add_error("again", _("This is not the same password."))
        return values


class GlassForm(forms.Form):
    """Which tenant, why, for how long."""

    slug = forms.CharField(max_length=40, widget=UnfoldAdminTextInputWidget, label=_("Slug of the tenant"))
    reason = forms.CharField(
        max_length=500,
        widget=UnfoldAdminTextareaWidget,
        label=_("Reason"),
        help_text=_("Stands in the audit and on the list that the tenant's managers see."),
    )
    minutes = forms.IntegerField(
        min_value=1,
        max_value=members.GLASS_MINUTES,
        initial=members.GLASS_MINUTES,
        widget=UnfoldAdminIntegerFieldWidget,
        label=_("Minutes"),
    )


@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """What the link means, and with a POST: take it. A link that does not work tells nothing more than that."""
    actor = request.actor  # type: ignore[attr-defined]
    try:
        found = invitations.look(token)
    except Missing:
        return _no_invitation(request)
    person = invitations.person_of(found)
    form = PasswordForm(request.POST or None) if person is None else None
    context: dict[str, Any] = {
        "invitation": found,
        "role": permissions.ROLE_NAMES[found.role],
        "form": form,
        "is_theirs": actor.user_id == (person and person.pk),
        "signed_in": actor.user_id is not None,
    }
    if request.method == "POST" and (form is None or form.is_valid()):
        try:
            password = form.cleaned_data["password"] if form else ""
            key = request.session.session_key or ""
            invitations.accept(token, password, actor=actor, kept=key)
        except Missing:
            return _no_invitation(request)
        except OutreachError as error:
            context["error"] = str(error)
        else:
            if person is not None:
                keep_session(request)
                messages.success(request, gettext("Welcome. The role is yours from now on."))
                return HttpResponseRedirect(reverse("admin:index"))
            return _plain(request, "console/joined.html", context)
    return _plain(request, "console/invitation.html", context)


def _no_invitation(request: HttpRequest) -> HttpResponse:
    """404 for every link that does not work; 429 for who tries many."""
    if counting.count(f"invitation:{origins.place_of(request)}") > WRONG_LINKS_PER_MINUTE:
        answer = _plain(request, "console/no_invitation.html", {}, status=429)
        answer.headers["Retry-After"] = str(counting.WINDOW_SECONDS)
        return answer
    return _plain(request, "console/no_invitation.html", {}, status=404)


def _plain(request: HttpRequest, template: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
    answer = render(request, template, context, status=status)
    for name, value in HEADERS.items():
        answer.headers[name] = value
    return answer


@steps.recently
def break_glass(request: Any) -> HttpResponse:
    """A superuser opens one tenant for a while. Others are refused, by the service as well."""
    if not is_superuser(request):
        raise PermissionDenied
    form = GlassForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        try:
            members.break_glass(
                values["slug"].strip(), actor=request.actor, reason=values["reason"], minutes=values["minutes"]
            )
        except OutreachError as error:
            field = str(error.details.get("field", ""))
            form.add_error("slug" if field == "tenant" else field if field in form.fields else None, str(error))
        else:
            text = ngettext("Open for %d minute.", "Open for %d minutes.", values["minutes"]) % values["minutes"]
            messages.warning(request, text)
            return HttpResponseRedirect(reverse("admin:index"))
    question = _(
        "Opens one tenant to you with a manager's rights, without a membership. Do it when there is no other way: "
        "it is on the record, with your reason, and ends by itself."
    )
    context = {
        **admin.site.each_context(request),
        "title": _("Break the glass"),
        "question": question,
        "form": form,
        "act": _("Break the glass"),
    }
    return TemplateResponse(request, "console/add.html", context)


@require_POST
def end_glass(request: Any) -> HttpResponse:
    """End every access that this person has by a broken glass."""
    for glass in members.broken_by(request.actor):
        members.mend(glass, actor=request.actor)
    messages.success(request, gettext("The access is over."))
    return HttpResponseRedirect(reverse("admin:index"))


def roles(request: Any) -> HttpResponse:
    """The table of tenants/permissions.py."""
    rows = [
        (permission, [permission in granted for granted in permissions.ROLES.values()])
        for permission in sorted(permissions.ALL)
    ]
    context = {
        **admin.site.each_context(request),
        "title": _("Roles"),
        "names": [permissions.ROLE_NAMES[role] for role in permissions.ROLES],
        "rows": rows,
    }
    return TemplateResponse(request, "console/roles.html", context)
