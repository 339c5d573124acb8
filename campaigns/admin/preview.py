"""A campaign's mail as each person of its list would get it, before anything is sent."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.translation import gettext as _

from campaigns.admin.forecast import ForecastPages
from campaigns.models import Campaign, Contact
from campaigns.pipeline import explain_today, previewing
from outreach.common import isolation
from outreach.common.errors import Missing, OutreachError

LONGEST_ID = 18  # digits


class PreviewPages(ForecastPages):
    """Mix-in for the campaigns' admin."""

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        one = path("<int:pk>/preview/", view(self.preview), name="campaigns_campaign_preview")
        return [one, *super().get_urls()]

    def preview(self, request: Any, pk: int) -> HttpResponse:
        """?step= and ?variant= say what, ?q= (an address), ?contact= (an id) or ?lacking= (behind that id) for whom."""
        campaign = self._campaign(request, pk)
        steps = list(campaign.steps.order_by("position", "-version"))
        position = number(request.GET.get("step", "")) or 1
        step = next((each for each in steps if each.position == position), None)
        label = request.GET.get("variant", "")
        context = {
            **self.admin_site.each_context(request),
            "title": _("Preview: %s") % campaign,
            "opts": self.opts,
            "campaign": campaign,
            "back": self.url_of(campaign),
            "here": request.path,
            "position": position,
            "variant": label,
            "q": request.GET.get("q", "")[:300],
            "steps": sorted({each.position for each in steps}),
            "variants": list(step.variants.all()) if step else [],
            "found": None,
            "problem": "",
        }
        try:
            contact = whom(campaign, step, request.GET)
            scope = isolation.current()
            found = previewing.preview(
                campaign, contact, now=explain_today.clock(), position=position, variant=label,
                knows_platform=scope is not None and scope.platform,
            )  # fmt: skip
        except OutreachError as error:
            context["problem"] = str(error)
        else:
            context |= self._shown(campaign, found, position, label)
        return TemplateResponse(request, "console/mail_preview.html", context)

    def _shown(self, campaign: Campaign, found: previewing.Preview, position: int, label: str) -> dict[str, Any]:
        before, after = previewing.beside(campaign, found.contact)

        def url(**changes: Any) -> str:
            return "?" + urlencode({"step": position, **({"variant": label} if label else {}), **changes})

        return {
            "found": found,
            "contact_url": reverse("admin:campaigns_contact_change", args=[found.contact.pk]),
            "before": url(contact=before.pk) if before else "",
            "after": url(contact=after.pk) if after else "",
            "lacking": url(lacking=found.contact.pk),
            "needed": previewing.needed(found.step, found.variant),
        }


def whom(campaign: Campaign, step: Any, given: Any) -> Contact:
    """The person that the page is asked for; the first of the list where it is asked for nobody. Raises Missing."""
    if address := given.get("q", "").strip()[:300]:
        return previewing.find(campaign, address)
    if "lacking" in given and step is not None:
        variant = step.variants.filter(label=given.get("variant", "")).first()
        names = previewing.needed(step, variant or step.variants.order_by("label").first())
        found = previewing.next_lacking(campaign, names, after=number(given["lacking"]))
        if found is None:
            raise Missing(_("From there on nobody of the list lacks a field that the step needs."))
        return found
    everybody = previewing.people(campaign)
    if pk := number(given.get("contact", "")):
        everybody = everybody.filter(pk=pk)
    found = everybody.first()
    if found is None:
        raise Missing(_("There is no such person in the list of the campaign."))
    return found


def number(text: str) -> int:
    """The number that a query string gives; 0 for anything else."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= LONGEST_ID else 0
