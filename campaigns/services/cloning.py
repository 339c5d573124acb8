"""Another campaign like one that there is."""

from __future__ import annotations

from django.db import IntegrityError, connection, transaction

from campaigns.models import Campaign, Step, Variant
from campaigns.services import specs
from outreach.common.errors import BadInput
from tenants.services import audit
from tenants.services.actors import Actor

# What a clone takes over. Nothing that was found out, ticked, agreed to or done with the first one is among it.
TAKEN = (
    "tenant_id", "pool_id", "contact_list_id", "window_from", "window_until", "window_days", "window_zone", "pace",
    "batch_size", "daily_cap", "total_cap", "holidays", "handover", "stop_on_colleague", "doubt", "click_tracking",
    "canary", "canary_size", "canary_hours", "balancing_test",
)  # fmt: skip
EXCLUDED = """
INSERT INTO campaigns_suppression
    (tenant_id, campaign_id, scope, kind, hash, hint, domain, reason, via, message_ref, created_at)
SELECT tenant_id, %(to)s, scope, kind, hash, hint, domain, reason, via, message_ref, now()
FROM campaigns_suppression WHERE campaign_id = %(of)s AND lifted_at IS NULL"""
WORDS = ("subject", "text_body", "html_body")


@transaction.atomic
def clone(campaign: Campaign, name: str, *, actor: Actor) -> Campaign:
    """A draft with the same list, pool, window and wording, without people; of each step the newest version.

    Whoever is suppressed is looked up anew for each mail, and whom staff excluded from the first campaign alone is
    excluded from this one too. Raises BadInput for a name that is taken.
    """
    actor.require("campaigns.create", campaign)
    name = specs.name_of(name)
    campaign = Campaign.objects.get(pk=campaign.pk)
    made = Campaign(name=name, cloned_from=campaign, **{field: getattr(campaign, field) for field in TAKEN})
    try:
        with transaction.atomic():
            made.save(force_insert=True)
    except IntegrityError as error:
        raise BadInput(f"name: there is already a campaign {name!r}; choose another name.", field="name") from error
    newest = campaign.steps.order_by("position", "-version").distinct("position").prefetch_related("variants")
    for step in newest:
        copy = Step.objects.create(
            tenant_id=made.tenant_id, campaign=made, position=step.position, delay_hours=step.delay_hours,
            delay_days=step.delay_days, **{field: getattr(step, field) for field in WORDS},
        )  # fmt: skip
        for variant in step.variants.all():
            Variant.objects.create(
                tenant_id=made.tenant_id, step=copy, label=variant.label,
                **{field: getattr(variant, field) for field in WORDS},
            )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(EXCLUDED, {"of": campaign.pk, "to": made.pk})
    audit.record(actor, "campaign.cloned", made, of=campaign.pk)
    return made
