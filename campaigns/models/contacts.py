"""People who may be written to, and on what ground."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from tenants.models import TenantOwned


class Contact(TenantOwned):
    """A person of one tenant.

    `email` is as given, `email_key` what identifies it. The hashes are keyed with HASH_KEY
    (outreach.common.hashing): `address_hash` of email_key, `domain_hashes` of the domain
    as itself and of each parent as a wildcard, so that suppression is a join on bytes.
    """

    class PersonKind(models.TextChoices):
        CORPORATE_NAMED = "corporate_named", _("named person at a company")
        CORPORATE_GENERIC = "corporate_generic", _("generic address of a company")
        INDIVIDUAL = "individual", _("individual")

    class Basis(models.TextChoices):
        CONSENT = "consent", _("consent")
        EXISTING_CUSTOMER = "existing_customer", _("existing customer")
        LEGITIMATE_INTEREST = "legitimate_interest", _("legitimate interest")
        IMPLIED_CONSENT = "implied_consent", _("implied consent")
        OPT_OUT = "opt_out", _("opt-out rule of the country")

    email = models.CharField(max_length=254)
    email_key = models.CharField(max_length=254, editable=False)
    operator = models.CharField(
        max_length=16,
        blank=True,
        db_default="",
        editable=False,
        help_text=_("Who runs its mail, from the MX records; empty: unknown."),
    )
    address_hash = models.BinaryField(editable=False)
    domain_hashes = ArrayField(models.BinaryField(), editable=False)
    first_name = models.CharField(max_length=200, blank=True)
    last_name = models.CharField(max_length=200, blank=True)
    company = models.CharField(max_length=200, blank=True)
    country = models.CharField(max_length=2, blank=True, help_text=_("ISO 3166-1 alpha-2; empty: unknown."))
    time_zone = models.CharField(max_length=64, blank=True, help_text=_("IANA name; empty: the tenant's."))
    person_kind = models.CharField(max_length=20, choices=PersonKind)
    source = models.CharField(max_length=500)
    lawful_basis = models.CharField(max_length=24, choices=Basis)
    basis_date = models.DateField()
    basis_expires_on = models.DateField(null=True, blank=True)
    basis_evidence = models.CharField(max_length=1000, blank=True)
    fields = models.JSONField(default=dict, blank=True, help_text=_("Free columns: strings, 50 keys, 8 kB."))
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("email_key",)
        verbose_name = _("contact")
        verbose_name_plural = _("contacts")
        constraints = [
            models.UniqueConstraint(fields=["tenant", "email_key"], name="contact_once"),
            models.CheckConstraint(
                condition=Q(person_kind__in=["corporate_named", "corporate_generic", "individual"]),
                name="contact_person_kind_known",
            ),
            models.CheckConstraint(
                condition=Q(
                    lawful_basis__in=[
                        "consent",
                        "existing_customer",
                        "legitimate_interest",
                        "implied_consent",
                        "opt_out",
                    ]
                ),
                name="contact_basis_known",
            ),
            models.CheckConstraint(condition=~Q(source=""), name="contact_source_given"),
        ]
        indexes = [models.Index(fields=["address_hash"], name="contact_address_hash")]

    def __str__(self) -> str:
        return self.email
