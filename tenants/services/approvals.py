"""Four eyes: ask for an act, agree to it or not, and check when it is done. Nothing is done from here."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Model, Q
from django.db.models.functions import Now
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from outreach.common import isolation
from outreach.common.errors import BadInput, InvalidMove, NeedsApproval, NotAllowed
from tenants import acts, permissions
from tenants.acts import Act, Terms
from tenants.models import ApiKey, Approval, ApprovalPolicy, AuditEntry, Invitation, Membership, Tenant
from tenants.services import audit
from tenants.services.actors import Actor

LONGEST = 300
LATELY = timedelta(days=30)
LETTING_IN = ("user.created", "user.password_renewed", "user.second_factor_renewed", "user.second_factor_given")
MOST_HOURS = 720


def policy_of(tenant_id: int | None) -> ApprovalPolicy:
    """A tenant's lines; the careful defaults for one that has set none, and for the platform."""
    if tenant_id is None:
        return ApprovalPolicy()
    return ApprovalPolicy.objects.filter(tenant=tenant_id).first() or ApprovalPolicy(tenant_id=tenant_id)


def needed(name: str, subject: Model, **given: Any) -> Terms | None:
    """What a second person would have to agree to now; None when one may do it alone. Raises BadInput."""
    act = _act(name)
    if subject._meta.label != act.model:
        raise BadInput(f"{name} is done to a row of {act.model}.", field="subject_id")
    return act.terms(policy_of(audit.tenant_of(subject)), subject, **given)


@transaction.atomic
def require(actor: Actor, name: str, subject: Any, *, approval: int | None = None, **given: Any) -> Approval | None:
    """Let an act pass, in its own transaction: nobody has to agree, or somebody has, and that is used up now.

    Called by the act after its other checks. A person's act finds the agreement by itself; the system has to name one
    (`approval`, its id). Raises NeedsApproval.
    """
    terms = needed(name, subject, **given)
    if terms is None:
        return None
    act = _act(name)
    if actor.kind != "system" or approval is not None:
        rows = Approval.objects.filter(
            act=name, subject_id=subject.pk, tenant=audit.tenant_of(subject), state=Approval.State.GRANTED,
            expires_at__gt=Now(),
        )  # fmt: skip
        if approval is not None:
            rows = rows.filter(pk=approval)
        for row in rows.select_for_update(no_key=True).order_by("pk"):
            if act.covers(row.terms, terms):
                row.move_to(Approval.State.USED)
                row.used_at = now()
                row.save(update_fields=["state", "used_at"])
                return row  # the act's own entry in the audit names it; an entry now would lock the chain too early
    what = in_words(terms)
    named = f" Approval {approval} does not hold for that." if approval is not None else ""
    raise NeedsApproval(
        f"{act.title}: {subject}{f' ({what})' if what else ''} needs a second person's agreement.{named}",
        act=name, subject_id=subject.pk, terms=terms, subject=subject, given=given,
    )  # fmt: skip


def still_covers(used: int | None, name: str, subject: Any, **given: Any) -> bool:
    """Whether an act may be done on an agreement that was used up for it before (its id; None: there was none).

    For acts that are settled now and done later: what would be agreed to then has to be what was agreed to.
    """
    terms = needed(name, subject, **given)
    if terms is None:
        return True
    row = Approval.objects.filter(
        pk=used or 0, act=name, subject_id=subject.pk, tenant=audit.tenant_of(subject), state=Approval.State.USED
    ).first()
    return row is not None and _act(name).covers(row.terms, terms)


def in_words(terms: Terms) -> str:
    """Terms as people read them: "daily cap 80"; a number that is none is no limit."""
    told = ((name.replace("_", " "), f"{value:,}" if type(value) is int else value) for name, value in terms.items())
    return ", ".join(f"{name} {'without limit' if value is None else value}" for name, value in told)


@transaction.atomic
def ask(subject: Any, name: str, *, actor: Actor, reason: str, **given: Any) -> Approval:
    """Ask a second person to agree. One may ask only for what one may do.

    Raises NotAllowed; BadInput when nobody has to agree or the reason is missing; InvalidMove when it waits already.
    """
    act, tenant_id = _act(name), audit.tenant_of(subject)
    act.require_of(actor, subject)
    terms = needed(name, subject, **given)
    if terms is None:
        raise BadInput(f"{act.title}: {subject} needs nobody's agreement; just do it.", field="act")
    reason = _text(reason)
    if not reason:
        raise BadInput("Write why it is to be done; the second person decides by that.", field="reason")
    same = Approval.objects.filter(act=name, subject_id=subject.pk, tenant=tenant_id)
    same.filter(state=Approval.State.ASKED, expires_at__lte=Now()).update(state=Approval.State.EXPIRED)
    try:
        with transaction.atomic():
            made = Approval.objects.create(
                tenant_id=tenant_id, act=name, subject=act.model, subject_id=subject.pk, terms=terms, reason=reason,
                asked_by_id=actor.user_id, asked_by_key_id=actor.key_id,
                expires_at=now() + timedelta(hours=policy_of(tenant_id).decide_hours),
            )  # fmt: skip
    except IntegrityError as error:
        raise InvalidMove(
            f"{act.title}: {subject} waits for a second person already.", source="asked", target="asked"
        ) from error
    audit.record(actor, "approval.asked", made, reason=reason, act=name, of=subject.pk, terms=terms)
    return made


def ask_for(refusal: NeedsApproval, *, actor: Actor, reason: str) -> Approval:
    """Ask a second person about the act that was just refused for want of one. Raises as `ask` does."""
    details: dict[str, Any] = refusal.details
    return ask(details["subject"], details["act"], actor=actor, reason=reason, **details["given"])


@transaction.atomic
def grant(approval: Approval, *, actor: Actor, note: str = "") -> Approval:
    """Agree. Only a person, other than who asked (or made the key that asked), with the act's own permission too.

    The right to agree has to be older than the wish, and whoever was let in by the first person is no second one.

    Raises NotAllowed, InvalidMove.
    """
    approval = _to_decide(approval, actor)
    if approval.asked_by_id == actor.user_id or _maker_of_key(approval) == actor.user_id:
        raise NotAllowed("Whoever asked can't agree; it takes a second person.")
    if (doubt := _doubt(approval, actor.user_id or 0)) is not None:
        raise NotAllowed(f"{doubt} It takes a second person who owes nothing to the first.")
    until = now() + timedelta(hours=policy_of(approval.tenant_id).use_hours)
    return _decide(approval, Approval.State.GRANTED, actor, note, expires_at=until)


@transaction.atomic
def refuse(approval: Approval, *, actor: Actor, note: str) -> Approval:
    """Say no, and why. Raises NotAllowed, InvalidMove, BadInput."""
    if not note.strip():
        raise BadInput("Write why not; whoever asked reads it.", field="note")
    return _decide(_to_decide(approval, actor), Approval.State.REFUSED, actor, note)


@transaction.atomic
def withdraw(approval: Approval, *, actor: Actor) -> Approval:
    """Take a wish or an agreement back: who asked may, and who may agree. Raises NotAllowed, InvalidMove."""
    who = (actor.user_id, actor.key_id)
    mine = who != (None, None) and who == (approval.asked_by_id, approval.asked_by_key_id)
    if not mine:
        actor.require("tenants.approve", approval)
    approval = Approval.objects.select_for_update(no_key=True).get(pk=approval.pk)
    before = approval.state
    approval.move_to(Approval.State.WITHDRAWN)
    approval.save(update_fields=["state"])
    audit.record(actor, "approval.withdrawn", approval, before=before, after=approval.state)
    return approval


def set_policy(tenant: Tenant, *, actor: Actor, approval: int | None = None, **values: Any) -> ApprovalPolicy:
    """Move a tenant's lines. Tighter ones hold at once; looser ones need a second person themselves.

    Raises NotAllowed, NeedsApproval, BadInput that names the field.
    """
    actor.require("tenants.approve", tenant)
    with transaction.atomic():
        Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)
        policy = policy_of(tenant.pk)
        values = {name: _line(policy, name, value) for name, value in values.items()}
        before = {name: getattr(policy, name) for name in values}
        used = require(actor, "policy.loosen", tenant, approval=approval, **values)
        for name, value in values.items():
            setattr(policy, name, value)
        policy.save()
        changed = {name: value for name, value in values.items() if before[name] != value}
        old = {name: before[name] for name in changed}
        audit.record(actor, "policy.changed", policy, before=old, after=changed, approval=used and used.pk)
    return policy


def _line(policy: ApprovalPolicy, name: str, value: Any) -> Any:
    """The value as the column keeps it. Raises BadInput that names it."""
    if name not in ALL_LINES:
        raise BadInput(f"{name} is none of a policy's lines.", field=name)
    field: Any = ApprovalPolicy._meta.get_field(name)
    try:
        value = field.clean(value, policy)
    except ValidationError as error:
        raise BadInput(f"{name}: {' '.join(error.messages)}", field=name) from error
    if name in HOURS and not 1 <= value <= MOST_HOURS:
        raise BadInput(f"{name}: from 1 to {MOST_HOURS} hours.", field=name)
    return value


LINES = ("launch_above", "cap_above", "export_above")
ALWAYS = ("release", "lift", "account", "bases")
HOURS = ("decide_hours", "use_hours")
ALL_LINES = (*LINES, *ALWAYS, *HOURS)


def loosened(policy: ApprovalPolicy, tenant: Tenant, **values: Any) -> Terms | None:
    """Which of the new lines let one person do more than before; None when none does."""
    looser: Terms = {}
    for name, value in values.items():
        before = getattr(policy, name)
        if name in ALWAYS:
            is_looser = before and not value
        elif name in LINES:
            is_looser = before is not None and (value is None or value > before)
        elif name in HOURS:
            is_looser = value > before
        else:
            raise BadInput(f"{name} is none of a policy's lines.", field=name)
        if is_looser:
            looser[name] = value
    return looser or None


LOOSEN = Act(
    "policy.loosen", _("Loosening the rules of approval"), "tenants.Tenant", "tenants.approve", loosened,
    given=ALL_LINES,
)  # fmt: skip
acts.register(LOOSEN)


def _act(name: str) -> Act:
    act = acts.get(name)
    if act is None:
        raise BadInput(f"There is no act {name[:40]!r}; there are {', '.join(acts.registered())}.", field="act")
    return act


def _to_decide(approval: Approval, actor: Actor) -> Approval:
    if actor.kind != "user" or actor.user_id is None:
        raise NotAllowed("Only a person can decide; neither the system nor a key.")
    actor.require("tenants.approve", approval)
    _act(approval.act).require_of(actor, approval)
    approval = Approval.objects.select_for_update(no_key=True).get(pk=approval.pk)
    if approval.state == Approval.State.ASKED and approval.expires_at <= now():
        raise InvalidMove("Nobody decided in time; it has to be asked for again.", source="expired", target="granted")
    return approval


def _doubt(approval: Approval, person: int) -> str | None:
    """Why this account may be the first person's own, by what is on record; None when nothing speaks for it."""
    roles = [role for role, held in permissions.ROLES.items() if "tenants.approve" in held]
    scope = isolation.current()
    with isolation.tenants(scope.tenant_ids if scope else (), platform=True):  # what is on record of people is there
        held = Membership.objects.holding().filter(Q(tenant=approval.tenant_id) | Q(tenant=None), user=person)
        if not held.filter(role__in=roles, created_at__lt=approval.asked_at).exists():
            return "Your right to agree is younger than the wish."
        first = approval.asked_by_id or _maker_of_key(approval)
        if first is None:
            return None
        if Invitation.objects.filter(accepted_by=person, invited_by=first).exists():
            return "Whoever asked invited you."
        made = AuditEntry.objects.filter(action__in=LETTING_IN, subject="tenants.User", subject_id=person)
        if made.filter(actor_user=first, at__gt=now() - LATELY).exists():
            return "Whoever asked has made or renewed your sign-in lately."
    return None


def _decide(approval: Approval, state: str, actor: Actor, note: str, **more: Any) -> Approval:
    approval.move_to(state)
    approval.decided_by_id, approval.decided_at, approval.note = actor.user_id, now(), _text(note)
    for name, value in more.items():
        setattr(approval, name, value)
    approval.save(update_fields=["state", "decided_by", "decided_at", "note", *more])
    facts = {"act": approval.act, "of": approval.subject_id, "terms": approval.terms}
    audit.record(actor, f"approval.{state}", approval, reason=note, **facts)
    return approval


def _maker_of_key(approval: Approval) -> int | None:
    if approval.asked_by_key_id is None:
        return None
    return ApiKey.objects.filter(pk=approval.asked_by_key_id).values_list("created_by_id", flat=True).first()


def _text(given: str) -> str:
    if "\0" in given:
        raise BadInput("The text has a character that can't be stored.", field="reason")
    return given.strip()[:LONGEST]
