"""What we know of a client company beyond its name, and what has to be in order before it sends."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import RegexValidator, URLValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from tenants.models import history
from tenants.models.base import TenantOwned

BASES = ("consent", "existing_customer", "legitimate_interest", "implied_consent", "opt_out")
HTTPS = URLValidator(schemes=["https"], message=_("An address that begins with https://."))
COUNTRY = RegexValidator(r"^[A-Z]{2}\Z", _("Two capital letters of ISO 3166-1, as in UA."))


@history.track(without=("changed_at",))
class TenantRecord(TenantOwned):
    """The company behind a tenant: who it is, who answers for what, and what was agreed on, until when.

    A table of its own: the row of the tenant is read and locked by every plan, and these columns by nobody then.
    """

    legal_name = models.CharField(max_length=200, blank=True)
    register_number = models.CharField(max_length=100, blank=True)
    country = models.CharField(max_length=2, blank=True, validators=[COUNTRY])
    privacy_url = models.CharField(_("privacy notice"), max_length=300, blank=True, validators=[HTTPS])

    owner_name = models.CharField(max_length=200, blank=True)
    owner_email = models.EmailField(blank=True)
    billing_name = models.CharField(max_length=200, blank=True)
    billing_email = models.EmailField(blank=True)
    abuse_name = models.CharField(max_length=200, blank=True)
    abuse_email = models.EmailField(blank=True)
    data_protection_name = models.CharField(max_length=200, blank=True)
    data_protection_email = models.EmailField(blank=True)

    contract_signed_on = models.DateField(null=True, blank=True)
    contract_ends_on = models.DateField(null=True, blank=True, help_text=_("Empty: until somebody ends it."))
    dpa_signed_on = models.DateField(_("data processing agreement signed on"), null=True, blank=True)
    authority_letter_on = models.DateField(
        _("letter of authority dated"), null=True, blank=True, help_text=_("By which we may send from its domains.")
    )
    allowed_countries = ArrayField(
        models.CharField(max_length=2, validators=[COUNTRY]), default=list, blank=True,
        help_text=_("ISO 3166-1 alpha-2, of the people it may write to."),
    )  # fmt: skip
    allowed_bases = ArrayField(
        models.CharField(max_length=24, choices=[(name, name.replace("_", " ")) for name in BASES]),
        default=list, blank=True, help_text=_("Lawful bases that its contacts may have."),
    )  # fmt: skip
    suppression_sharing_on = models.DateField(
        null=True, blank=True,
        help_text=_("From when its contract lets suppression be shared with other tenants that allow it too."),
    )  # fmt: skip
    contracted_volume = models.PositiveIntegerField(null=True, blank=True, help_text=_("Messages a month."))
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("tenant record")
        verbose_name_plural = _("tenant records")
        constraints = [
            models.UniqueConstraint(fields=["tenant"], name="tenantrecord_once"),
            models.CheckConstraint(
                condition=Q(contract_ends_on=None)
                | Q(contract_signed_on=None)
                | Q(contract_ends_on__gte=models.F("contract_signed_on")),
                name="tenantrecord_contract_in_order",
            ),
        ]

    def __str__(self) -> str:
        return self.legal_name or str(self.tenant_id)


@history.track()
class ChecklistEntry(TenantOwned):
    """Who looks after one row of a tenant's checklist, by when, and for rows that a person decides: the decision."""

    class State(models.TextChoices):
        OPEN = "open", _("open")
        DONE = "done", _("done")
        NOT_NEEDED = "not_needed", _("not needed")

    key = models.CharField(max_length=40)
    state = models.CharField(max_length=12, choices=State, default=State.OPEN)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    due_on = models.DateField(null=True, blank=True)
    done_on = models.DateField(null=True, blank=True)
    note = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ("tenant", "key")
        verbose_name = _("checklist entry")
        verbose_name_plural = _("checklist entries")
        constraints = [
            models.UniqueConstraint(fields=["tenant", "key"], name="checklistentry_once"),
            models.CheckConstraint(condition=Q(state__in=["open", "done", "not_needed"]), name="checklist_state_known"),
            models.CheckConstraint(
                condition=~Q(state="not_needed") | ~Q(note=""), name="checklist_not_needed_says_why"
            ),
            models.CheckConstraint(
                condition=Q(state="open", done_on=None) | (~Q(state="open") & Q(done_on__isnull=False)),
                name="checklist_done_has_date",
            ),
        ]

    def __str__(self) -> str:
        return self.key
