"""People who may be written to, and on what ground."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from tenants.models import TenantForeignKey, TenantOwned


class Contact(TenantOwned):
    """A person of one tenant.

    `email` is as given, `email_key` what identifies it. The hashes are keyed with HASH_KEY
    (outreach.common.hashing): `address_hash` of email_key, `domain_hashes` of the domain
    as itself and of each parent as a wildcard, so that suppression is a join on bytes.
    `company_domain` is the organisational domain of the address, empty where anybody can have
    an address (gmail.com). While `conversation_since` is set a person talks with this contact,
    and no campaign writes; after that nothing is sent before `quiet_until`.
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

    class Validity(models.TextChoices):
        NEW = "", _("not validated yet")
        VALID = "valid", _("valid")
        RISKY = "risky", _("risky")
        INVALID = "invalid", _("invalid")
        UNKNOWN = "unknown", _("unknown")

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
    basis_terms = ArrayField(
        models.CharField(max_length=24),
        default=list,
        db_default=[],
        blank=True,
        help_text=_("What else holds of the basis and its country's rule asks for."),
    )
    collected_directly = models.BooleanField(
        default=False, db_default=False, help_text=_("The person gave the data; else the first mail names the source.")
    )
    fields = models.JSONField(default=dict, blank=True, help_text=_("Free columns: strings, 50 keys, 8 kB."))
    tags = ArrayField(models.CharField(max_length=50), default=list, db_default=[], blank=True)
    company_domain = models.CharField(max_length=253, blank=True, db_default="", editable=False)

    validity = models.CharField(max_length=8, choices=Validity, blank=True, db_default="", editable=False)
    validity_reason = models.CharField(max_length=24, blank=True, db_default="", editable=False)
    validated_at = models.DateTimeField(null=True, blank=True, editable=False)

    conversation_since = models.DateTimeField(null=True, blank=True, editable=False)
    conversation_via = models.CharField(max_length=24, blank=True, db_default="", editable=False)
    conversation_ended_at = models.DateTimeField(null=True, blank=True, editable=False)
    quiet_until = models.DateTimeField(null=True, blank=True, editable=False)

    first_import = TenantForeignKey(
        "campaigns.ContactImport", null=True, blank=True, editable=False, related_name="contacts"
    )
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
            models.CheckConstraint(
                condition=Q(validity__in=["", "valid", "risky", "invalid", "unknown"]), name="contact_validity_known"
            ),
        ]
        indexes = [
            models.Index(fields=["address_hash"], name="contact_address_hash"),
            models.Index(fields=["tenant", "id"], condition=Q(validity=""), name="contact_to_validate"),
            models.Index(fields=["tenant", "id"], condition=Q(validity="unknown"), name="contact_unknown"),
            models.Index(
                fields=["tenant", "conversation_since"],
                condition=Q(conversation_since__isnull=False),
                name="contact_in_conversation",
            ),
            models.Index(
                fields=["tenant", "quiet_until"], condition=Q(quiet_until__isnull=False), name="contact_left_alone"
            ),
            models.Index(fields=["tenant", "company_domain"], condition=~Q(company_domain=""), name="contact_company"),
            models.Index(fields=["tenant", "id"], condition=~Q(tags=[]), name="contact_tagged"),
            models.Index(fields=["first_import"], condition=Q(first_import__isnull=False), name="contact_first_import"),
        ]

    def __str__(self) -> str:
        return self.email


class Held(models.Manager["Conversation"]):
    """Those to whom no campaign writes now."""

    def get_queryset(self) -> models.QuerySet[Conversation]:
        return super().get_queryset().filter(Q(conversation_since__isnull=False) | Q(quiet_until__gt=Now()))


class Conversation(Contact):
    """A contact as somebody with whom a person talks, or who is left alone for a while: what the console lists."""

    objects: ClassVar[models.Manager[Conversation]] = Held()

    class Meta:
        proxy = True
        base_manager_name = "objects"
        ordering = ("-conversation_since",)
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")
