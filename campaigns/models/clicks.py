"""Links of mails that were followed."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from tenants.models import TenantForeignKey, TenantOwned


class Click(TenantOwned):
    """A link of a message that somebody, or some program, followed.

    `is_early`: within seconds of the mail, which is mostly a filter that looks at links before the person does.
    """

    campaign = TenantForeignKey("campaigns.Campaign", related_name="clicks")
    message_ref = models.BigIntegerField(_("message"), help_text=_("Id of the message."))
    number = models.PositiveSmallIntegerField(_("link"), help_text=_("In the order of the wording, from 0."))
    url = models.CharField(_("leads to"), max_length=2000)
    at = models.DateTimeField(_("at"), auto_now_add=True)
    is_early = models.BooleanField(_("early"), help_text=_("Within seconds of the mail: mostly a filter's look."))

    class Meta:
        ordering = ("-pk",)
        verbose_name = _("click")
        verbose_name_plural = _("clicks")
        indexes = [
            models.Index(fields=["message_ref"], name="click_message"),
            models.Index(fields=["campaign", "-id"], name="click_campaign"),
            models.Index(fields=["tenant", "id"], name="click_tenant_page"),
        ]

    def __str__(self) -> str:
        return self.url
