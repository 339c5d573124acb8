"""The messages of a sequence and their wordings: written with the campaign, frozen at launch, then only revised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from campaigns import templating
from campaigns.models import Campaign, Step, Variant
from campaigns.services import preflighting, specs
from outreach.common.errors import BadInput, InvalidMove, Missing
from tenants.services import approvals, audit
from tenants.services.actors import Actor


@dataclass(frozen=True, slots=True)
class Wording:
    """One text that people may get: a step's own, or one of its variants. `name` is for sentences."""

    name: str
    position: int
    subject: str
    text_body: str
    html_body: str

    def compiled(self) -> templating.CompiledStep:
        """Its parts, parsed. Raises BadInput or TemplateTooCostly with step, part, line and remedy."""
        return templating.compile_step(
            self.subject, self.text_body, self.html_body, step=self.name, is_first=self.position == 1
        )


def current(campaign: Campaign) -> list[Step]:
    """The latest version of each step, in their order: what goes out from now on."""
    return list(campaign.steps.order_by("position", "-version").distinct("position").prefetch_related("variants"))


def wordings(step: Step) -> list[Wording]:
    """What is sent of a step: its variants where it has some, else its own text."""
    name = f"Step {step.position}"
    variants = list(step.variants.all())
    if not variants:
        return [Wording(name, step.position, step.subject, step.text_body, step.html_body)]
    return [
        Wording(f"{name}, variant {each.label}", step.position, each.subject, each.text_body, each.html_body)
        for each in variants
    ]


def write(
    campaign: Campaign, plan: specs.StepPlan, *, position: int, version: int = 1, is_frozen: bool = False
) -> Step:
    """Add a step, or a version of one, with its variants; part of the acts that record it. Raises BadInput."""
    step = Step(
        tenant_id=campaign.tenant_id, campaign=campaign, position=position, version=version,
        frozen_at=Now() if is_frozen else None, **plan.values,
    )  # fmt: skip
    step.save(force_insert=True)
    for values in plan.variants:
        Variant.objects.create(tenant_id=campaign.tenant_id, step=step, **values)
    for wording in wordings(step):
        if wording.subject and (
            wording.text_body or wording.html_body
        ):  # a draft may lack them; what it has must be sound
            wording.compiled()
    return step


@transaction.atomic
def revise(
    campaign: Campaign, position: int, spec: Mapping[str, Any], *, actor: Actor, reason: str = "",
    approval: int | None = None,
) -> Step:  # fmt: skip
    """Change a step of a launched campaign: a new version, which everybody gets who is planned from now on.

    Mail that is planned or sent keeps the version that it was made with, and so do its variants. The delay counts for
    those whose step before goes out from now on. `spec` is the block of a step as a description has it, whole.
    Raises BadInput; Missing for a position that the campaign does not have; InvalidMove before the launch and after
    the end; NeedsApproval for a campaign beyond the tenant's line; NotReady where the new words bring an error that
    would have kept the campaign from its launch, as a lost privacy notice.
    """
    actor.require("campaigns.start", campaign)
    plan = specs.read_step(spec, position)
    campaign = Campaign.objects.select_for_update(no_key=True).get(pk=campaign.pk)
    if campaign.started_at is None or not Campaign.MOVES[campaign.status]:
        raise InvalidMove(
            f"{campaign} is {campaign.status}; only a launched campaign that is not over is revised.",
            source=campaign.status,
            target="",
        )
    before = campaign.steps.filter(position=position).order_by("-version").first()
    if before is None:
        raise Missing(f"{campaign} has no step {position}.")
    digest = specs.digest(plan)
    used = approvals.require(actor, "campaign.revise", campaign, approval=approval, step=position, wording=digest)
    known = {finding.code for finding in preflighting.look(campaign).errors}
    step = write(campaign, plan, position=position, version=before.version + 1, is_frozen=True)
    for wording in wordings(step):  # unlike a draft's, all of it is sent as it is
        if not wording.text_body.strip() and not wording.html_body.strip():
            raise BadInput(f"{wording.name} has no text and no html; write one of them.", part="text")
        wording.compiled()
    report = preflighting.look(campaign)
    report.findings = [finding for finding in report.findings if finding.code not in known]
    preflighting.require_no_errors(campaign, report, what="be revised so")
    audit.record(
        actor, "step.revised", step, reason=reason, before=before.pk, after=step.version, approval=used and used.pk
    )
    step.refresh_from_db()
    return step
