"""How pages act: a service for each row, a question before, and a second person where one is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.contrib.admin import helpers
from django.core.exceptions import BadRequest, ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.widgets import UnfoldAdminTextInputWidget

from outreach.common.errors import NeedsApproval, OutreachError
from tenants.services import approvals
from tenants.sign_in import recently_verified, verify_first

SHOWN_REFUSALS = 10  # messages travel in a cookie or the session
NOT_REPEATED = ("csrfmiddlewaretoken", "_selected_action", "second_person", "select_across")


class ReasonForm(forms.Form):
    """Why; stands in the row, in the audit and on its page."""

    reason = forms.CharField(max_length=200, widget=UnfoldAdminTextInputWidget, label=gettext_lazy("Reason"))


class SecondPersonForm(forms.Form):
    """Why a second person should agree."""

    second_person = forms.CharField(max_length=300, widget=UnfoldAdminTextInputWidget, label=gettext_lazy("Reason"))


class ActsOnRows:
    """Mix-in of TenantAdmin for actions. Stops are never asked about; what needs a second person is asked for here."""

    dangerous: ClassVar[frozenset[str]] = frozenset()
    opts: Any
    admin_site: Any
    message_user: Callable[..., None]
    get_actions: Callable[..., Any]
    url_of: Callable[[Any], str]
    _named: Callable[[str], str]

    def response_action(self, request: Any, queryset: QuerySet) -> HttpResponse | None:
        """Ticks that no list of ours has get 400: Django alone would fail on what is no row number."""
        for value in request.POST.getlist(helpers.ACTION_CHECKBOX_NAME):
            try:
                self.opts.pk.to_python(value)
            except ValidationError as error:
                raise BadRequest("A tick names no row.") from error
        if request.POST.get("action") in self.dangerous and not recently_verified(request):
            return verify_first(self._back(request, queryset))
        return super().response_action(request, queryset)

    def _back(self, request: Any, queryset: QuerySet) -> str:
        """Where an act was asked for; it has to be asked for again after the code."""
        row = None
        if request.POST.get("from_detail"):
            ticked = request.POST.getlist(helpers.ACTION_CHECKBOX_NAME)
            row = queryset.filter(pk__in=ticked).first()
        return self.url_of(row) if row is not None else request.get_full_path()

    def each(
        self, request: Any, queryset: Iterable[Any], service: Callable[..., Any], **kwargs: Any
    ) -> HttpResponse | None:
        """Run the service on each row; refusals become messages, successes are counted.

        Returns to the row's own page when the act was asked for there.
        """
        succeeded, refusals, waiting, row = 0, [], [], None
        for row in queryset:
            try:
                service(row, actor=request.actor, **kwargs)
            except NeedsApproval as error:
                waiting.append((row.pk, error))
            except OutreachError as error:
                refusals.append(str(error))
            else:
                succeeded += 1
        self.say_refusals(request, refusals)
        if succeeded:
            text = ngettext("Done for %d row.", "Done for %d rows.", succeeded) % succeeded
            self.message_user(request, text, messages.SUCCESS)
        if waiting:
            ids, errors = zip(*waiting, strict=True)
            if (page := self.second_person(request, errors, ids=ids)) is not None:
                return page
        if request.POST.get("from_detail") and row is not None:
            return HttpResponseRedirect(self.url_of(row))
        return None

    def say_refusals(self, request: Any, refusals: Sequence[str]) -> None:
        """The first few as they are, the rest as a number."""
        for refusal in refusals[:SHOWN_REFUSALS]:
            self.message_user(request, refusal, messages.ERROR)
        if len(refusals) > SHOWN_REFUSALS:
            more = len(refusals) - SHOWN_REFUSALS
            text = ngettext("%d more was refused.", "%d more were refused.", more) % more
            self.message_user(request, text, messages.ERROR)

    def second_person(
        self, request: Any, errors: Sequence[NeedsApproval], *, ids: Iterable[Any] | None = None
    ) -> HttpResponse | None:
        """Ask for a reason, and with it ask a second person about each act that was refused for want of one.

        The page sends the same act again for the rows `ids` (None: for those that were chosen), with the reason.
        """
        form = SecondPersonForm(request.POST if "second_person" in request.POST else None)
        if form.is_valid():
            refusals, asked = [], 0
            for error in errors:
                try:
                    approvals.ask_for(error, actor=request.actor, reason=form.cleaned_data["second_person"])
                    asked += 1
                except OutreachError as refusal:
                    refusals.append(str(refusal))
            self.say_refusals(request, refusals)
            if asked:
                text = ngettext(
                    "%d act waits for a second person; once one has agreed, do it again.",
                    "%d acts wait for a second person; once one has agreed, do them again.",
                    asked,
                )
                self.message_user(request, text % asked, messages.WARNING)
            return None
        given = request.POST
        context = {
            **self.admin_site.each_context(request),
            "title": _("This needs a second person"),
            "form": form,
            "opts": self.opts,
            "refusals": [str(error) for error in errors[:SHOWN_REFUSALS]],
            "count": len(errors),
            "again": [(name, value) for name in given if name not in NOT_REPEATED for value in given.getlist(name)],
            "ids": given.getlist("_selected_action") if ids is None else ids,
            "select_across": given.get("select_across", "") if ids is None else "",
            "back": reverse(self._named("changelist")),
        }
        return TemplateResponse(request, "console/second_person.html", context)

    def ask(
        self,
        request: Any,
        queryset: QuerySet,
        service: Callable[..., Any],
        *,
        question: str,
        form_class: type[forms.Form] = ReasonForm,
        now: str = "",
        template: str = "console/confirm.html",
        look: Callable[[list[Any]], dict[str, Any]] | None = None,
        initial: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> HttpResponse | None:
        """Show what will happen, take the form's values, and only then do it to each row.

        `now` names the column that the act sets: each row is shown with its value, and the form begins with the
        value of a single row. `look` gives a `template` of its own more to show, from all the rows; `initial` is what
        the form begins with.
        """
        rows, count = list(queryset[:SHOWN_REFUSALS]), queryset.count()
        initial = {now: getattr(rows[0], now)} if now and count == 1 else dict(initial or {})
        form = form_class(request.POST if request.POST.get("confirmed") else None, initial=initial)
        if form.is_valid():
            return self.each(request, queryset, service, **form.cleaned_data, **kwargs)
        context = self.question(request, form, question, [(row, self.now_of(row, now)) for row in rows], count)
        if look is not None:
            context |= look(list(queryset))
        return TemplateResponse(request, template, context)

    def question(
        self, request: Any, form: forms.Form, question: Any, rows: list[tuple[Any, str]], count: int
    ) -> dict[str, Any]:
        """What a page that asks before an act is made from: the first rows with a word each, and how many there are."""
        action = request.POST["action"]
        context = {
            **self.admin_site.each_context(request),
            "title": str(self.get_actions(request)[action][2]),
            "question": question,
            "form": form,
            "opts": self.opts,
            "rows": rows,
            "count": count,
            "ids": request.POST.getlist("_selected_action"),
            "action": action,
            "select_across": request.POST.get("select_across", ""),
            "from_detail": request.POST.get("from_detail", ""),
            "back": reverse(self._named("changelist")),
        }
        if request.POST.get("from_detail") and count == 1:
            context["back"] = self.url_of(rows[0][0])
        return context

    def now_of(self, row: Model, name: str) -> str:
        """What the column says of the row before the act, as in `daily cap: 40`."""
        if not name:
            return ""
        value = getattr(row, name)
        return f"{row._meta.get_field(name).verbose_name}: {_('none') if value is None else f'{value:,}'}"
