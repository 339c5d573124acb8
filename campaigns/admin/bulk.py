"""Tags and lists for the contacts that somebody ticked, or for all that the filters leave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.widgets import UnfoldAdminTextInputWidget

from campaigns.models import Contact
from campaigns.services import labelling
from mailboxes import labels
from outreach.common.errors import BadInput, OutreachError
from outreach.common.freshness import kept
from tenants.admin.acting import SHOWN_REFUSALS


class TagsForm(forms.Form):
    """Tags as people type them."""

    tags = forms.CharField(
        max_length=1000, widget=UnfoldAdminTextInputWidget, label=_("Tags"), help_text=_("Several with ; between.")
    )


class ListForm(forms.Form):
    """A list by its name."""

    list_name = forms.CharField(max_length=200, widget=UnfoldAdminTextInputWidget, label=_("List"))


class TagFilter(admin.SimpleListFilter):
    """One tag; those that this person's contacts have."""

    title, parameter_name = _("tag"), "tag"
    MOST = 200

    def lookups(self, request, model_admin):
        rows = model_admin.visible_to(request, Contact.objects.exclude(tags=[]).order_by())
        key = ("contact tags", request.actor.tenant_ids)

        def found() -> list[str]:
            return sorted({tag for tags in rows.values_list("tags", flat=True).distinct() for tag in tags})

        known = kept(key, found, seconds=10)[: self.MOST]
        asked = request.GET.get(self.parameter_name)  # may be newer than what is kept; a filter without it would be off
        return [(tag, tag) for tag in ([*known, asked] if asked and asked not in known else known)]

    def queryset(self, request, queryset):
        value = self.value()
        if value is None:
            return queryset
        try:
            return queryset.exclude(tags=[]).filter(tags__contains=[labels.tag(value, 50)])
        except BadInput:
            return queryset.none()


class ActsOnMany:
    """Mix-in of the contacts' page: one act for all that were chosen, after a question."""

    message_user: Callable[..., None]
    question: Callable[..., dict[str, Any]]

    @admin.action(description=_("Put tags on"), permissions=["label"])
    def tag(self, request, queryset):
        return self._ask(request, queryset, labelling.tag, TagsForm, _("These contacts get the tags as well."))

    @admin.action(description=_("Take tags off"), permissions=["label"])
    def untag(self, request, queryset):
        return self._ask(request, queryset, labelling.untag, TagsForm, _("These contacts lose the tags."))

    @admin.action(description=_("Add to a list"), permissions=["label"])
    def add_to_list(self, request, queryset):
        question = _("These contacts enter their tenant's list of that name, which is made if there is none.")
        return self._ask(request, queryset, labelling.add_to_list, ListForm, question)

    @admin.action(description=_("Remove from a list"), permissions=["label"])
    def remove_from_list(self, request, queryset):
        question = _("These contacts leave the list. Campaigns that were started keep the people that they took.")
        return self._ask(request, queryset, labelling.remove_from_list, ListForm, question)

    def has_label_permission(self, request):
        return request.actor.can("campaigns.import_contacts")

    def _ask(
        self, request: Any, queryset: QuerySet, service: Callable[..., int], form_class: type[forms.Form], question: Any
    ) -> HttpResponse | None:
        form = form_class(request.POST if request.POST.get("confirmed") else None)
        if form.is_valid():
            ids = list(queryset.order_by().values_list("pk", flat=True)[: labelling.MOST + 1])
            try:
                count = service(ids, *form.cleaned_data.values(), actor=request.actor)
            except OutreachError as error:
                field = str(error.details.get("field", ""))
                form.add_error(field if field in form.fields else None, str(error))
            else:
                text = ngettext("Changed %d contact.", "Changed %d contacts.", count) % count
                self.message_user(request, text, messages.SUCCESS)
                return None
        rows = [(row, "") for row in queryset[:SHOWN_REFUSALS]]
        context = self.question(request, form, question, rows, queryset.order_by().count())
        return TemplateResponse(request, "console/confirm.html", context)
