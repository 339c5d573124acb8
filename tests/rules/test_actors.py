"""Nothing is changed by nobody: every public service function that writes asks who acts."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

# Functions without an actor, and why each needs none.
READS = {
    "campaigns.campaigns.preflight", "campaigns.campaigns.status", "campaigns.canaries.count",
    "campaigns.canaries.holding", "campaigns.canaries.never_mailed", "campaigns.canaries.of",
    "campaigns.canaries.told", "campaigns.contact_rows.countries", "campaigns.preflighting.look",
    "campaigns.preflighting.require_no_errors", "campaigns.preflighting.said", "campaigns.specs.name_of",
    "tenants.approvals.still_covers",
    "campaigns.bases.effective", "campaigns.bases.in_codes", "campaigns.bases.looser", "campaigns.bases.rules_of",
    "campaigns.contact_rows.judge", "campaigns.contacts.domain_hashes", "campaigns.contacts.hashes",
    "campaigns.contacts.keys_of", "campaigns.importing_suppressions.judge",
    "campaigns.specs.digest", "campaigns.specs.read", "campaigns.specs.read_step", "campaigns.steps.current",
    "campaigns.steps.wordings", "campaigns.stops.parse_until", "campaigns.stops.standing",
    "campaigns.seeds.digits", "campaigns.testing.is_suppressed", "campaigns.testing.latest",
    "campaigns.testing.tester_now", "campaigns.testing.tester_of", "campaigns.testing.way",
    "campaigns.suppression.entry", "campaigns.suppression.hasher",
    "campaigns.suppression.mask", "mailboxes.mailbox_rows.cells", "mailboxes.mailbox_rows.judge",
    "mailboxes.imports.columns_of", "mailboxes.imports.find",
    "campaigns.contact_imports.columns_of", "campaigns.contact_imports.find", "campaigns.contact_rows.cell",
    "tenants.file_imports.columns_of", "tenants.file_imports.judge_source", "tenants.file_imports.undo_until",
    "campaigns.sharing.shares", "campaigns.sharing.tenants", "campaigns.suppression.covering",
    "campaigns.suppression.standing", "campaigns.suppression_lists.counts", "campaigns.suppression_lists.find",
    "campaigns.suppression_lists.plain",
    "mailboxes.domain_rows.judge", "mailboxes.domains.is_lower", "mailboxes.domains.judge",
    "mailboxes.domains.keep_alive_until", "mailboxes.domains.last_sent", "mailboxes.domains.of_others",
    "mailboxes.domains.parse_name", "mailboxes.domains.plain", "mailboxes.domains.selectors",
    "mailboxes.undo.referred_to", "mailboxes.undo_domains.image", "mailboxes.undo_domains.note",
    "deliverability.checks.address_of", "deliverability.checks.findings_of", "deliverability.checks.latest",
    "deliverability.checks.look", "deliverability.checks.questions", "deliverability.checks.resolver",
    "deliverability.checks.tenants_with_due", "deliverability.checks.wanted_of",
    "campaigns.validity.count", "campaigns.validity.people", "campaigns.validity.tenants_with_new",
    "deliverability.receivers.ask", "deliverability.receivers.known",
    "deliverability.validation.last", "deliverability.validation.names_of", "deliverability.validation.verdicts",
    "deliverability.verifying.chosen", "deliverability.verifying.is_wanted", "deliverability.verifying.price",
    "mailboxes.circuits.attempt", "mailboxes.circuits.due", "mailboxes.circuits.health",
    "mailboxes.capacity.load", "mailboxes.capacity.standard_plan",
    "mailboxes.quarantine.open_case", "mailboxes.quarantine.probation", "mailboxes.reserves.brake_of",
    "mailboxes.reserves.candidates", "mailboxes.reserves.foresee", "mailboxes.reserves.growing_of",
    "mailboxes.reserves.last_sent_on", "mailboxes.reserves.leaving_of", "mailboxes.reserves.of_pool",
    "mailboxes.reserves.serves", "mailboxes.reserves.serving_cap", "mailboxes.reserves.successor_of",
    "mailboxes.reserves.swap_for", "mailboxes.retiring.assignee_of", "mailboxes.retiring.keep_at_least_until",
    "mailboxes.retiring.open_points",
    "mailboxes.editing.find", "mailboxes.editing.preview",
    "mailboxes.sign_ins.attempt", "mailboxes.sign_ins.problems",
    "tenants.upload_boxes.opened", "tenants.upload_boxes.read",
    "tenants.uploads.limit_bytes", "tenants.uploads.needing_work",
    "mailboxes.servers.server_of", "mailboxes.servers.unusable", "mailboxes.undo.digest",
    "mailboxes.undo.image", "mailboxes.undo.row", "mailboxes.ramp.day_of",
    "mailboxes.ramp.find_plan",
    "mailboxes.domain_ramp.cap_on", "mailboxes.domain_ramp.first_day", "mailboxes.domain_ramp.is_too_young",
    "mailboxes.domain_ramp.not_before", "mailboxes.tracking.forget", "mailboxes.tracking.standing",
    "tenants.actors.of_command",
    "tenants.actors.of_grants", "tenants.actors.oneself",
    "tenants.factors.codes_left", "tenants.factors.is_set_up",
    "tenants.sessions.look", "tenants.sessions.open_of",
    "tenants.actors.of_user", "tenants.actors.visible_to", "tenants.invitations.look",
    "tenants.invitations.person_of", "tenants.members.broken_by", "tenants.members.check",
    "tenants.members.may_give", "tenants.members.reaching",
    "tenants.members.tenant_id_of", "tenants.api_keys.authenticate", "tenants.api_keys.hashed",
    "tenants.api_keys.network", "tenants.records.lines", "tenants.records.of", "tenants.records.red",
    "tenants.sealing.keyring", "tenants.sealing.uses",
    "tenants.tenants.find", "tenants.users.address", "tenants.users.find",
    "tenants.audit.keys", "tenants.audit.plain", "tenants.audit.tenant_of", "tenants.verifying.as_line",
    "tenants.verifying.chains_of", "tenants.approvals.in_words", "tenants.approvals.loosened",
    "tenants.approvals.needed",
    "tenants.approvals.policy_of",
}  # fmt: skip
# Steps of an act whose service has asked already, and acts of the machinery on what a person started.
PARTS = {
    "campaigns.clicks.follow",  # notes what a recipient's program did, millions of times, and decides nothing
    "campaigns.campaigns.enrol_more",  # goes on with a launch
    "campaigns.campaigns.halt_pool",  # part of a quarantine beyond the swap brake, which records the halts
    "campaigns.campaigns.launch",  # part of a start, now or at its time
    "campaigns.campaigns.locked",
    "campaigns.canaries.begin",  # part of a launch
    "campaigns.canaries.begin_again",  # part of a resume
    "campaigns.canaries.let_go",  # goes on with a canary that has passed
    "campaigns.campaigns.want_plan",  # only wakes the planner
    "campaigns.contact_imports.forget",  # keeps the time for which an import can be undone
    "campaigns.contact_preview.show",  # within a dry run
    "campaigns.contact_stage.begin",
    "campaigns.contact_stage.entry_number",
    "campaigns.contact_undo.drop_tables",  # of a rollback, which has asked
    "campaigns.contact_undo.split_new",
    "campaigns.contact_stage.keep_again",
    "campaigns.contact_stage.take_again",
    "campaigns.contact_stage.take_chunk",
    "campaigns.steps.write",  # part of a new campaign or of a revision
    "campaigns.suppression.keep_hashes_alone",  # of an erasure, which has asked
    "campaigns.suppression.push",
    "campaigns.testing.enqueue",  # of a test or of a new seed address, which have asked
    "campaigns.suppression_lists.of_opt_outs",  # of recording an opt-out, like the next one
    "campaigns.suppression_lists.taking",
    "campaigns.sharing.close_everywhere",  # the machinery's part of an entry that a person recorded
    "campaigns.sharing.close_waiting",
    "campaigns.sharing.ring",
    "mailboxes.quarantine.close_case",  # part of a release, of a retirement, of the next quarantine
    "mailboxes.quarantine.lock",
    "mailboxes.quarantine.lock_pool",
    "mailboxes.quarantine.promote_to_rotation",  # part of a quarantine or a retirement
    "mailboxes.editing.forget",  # keeps the time for which an edit can be undone
    "mailboxes.import_sql.insert",  # of an import, like the next ones
    "mailboxes.import_sql.update",
    "mailboxes.ramp.note_starts",
    "mailboxes.ramp.put_on",
    "mailboxes.sign_ins.want",
    "tenants.upload_boxes.new_key",
    "tenants.upload_boxes.write",
    "campaigns.upload_work.work_on",  # acts as the person who confirmed
    "tenants.upload_work.work_on",
    "mailboxes.upload_work.work_on",  # acts as the person who confirmed
    "tenants.uploads.claim",
    "tenants.uploads.empty",
    "tenants.uploads.forget",  # keeps the time for which files are kept
    "tenants.uploads.ring",
    "tenants.uploads.ring_again",
    "mailboxes.ramp.come_back",  # part of a release from quarantine
    "deliverability.receivers.look_up",  # of a validation, or of learn; DNS is no tenant's
    "deliverability.checks.forget",  # keeps the time for which checks are kept
    "mailboxes.circuits.tidy",  # keeps the time for which minutes are kept
    "mailboxes.routes.wake",  # part of a circuit that closes
    "mailboxes.domains.locked",
    "mailboxes.domains.mailboxes_of",
    "mailboxes.undo_domains.restore",  # imports.roll_back has asked
    "mailboxes.ramp.step_in",  # part of a promotion
    "mailboxes.undo.forget",  # keeps the time for which replaced passwords are kept
    "tenants.audit.record",  # takes the actor first
    "tenants.audit.refused",
    "tenants.approvals.require",  # takes the actor first
    "tenants.factors.verify",  # the person is not signed in yet
    "tenants.sessions.close",
    "tenants.sessions.move",
    "tenants.sessions.touch",
    "tenants.tenants.reserve_id",
}


def without_actor() -> set[str]:
    """Public functions of the services whose actor is missing, positional or optional."""
    found = set()
    for path in ROOT.glob("*/services/*.py"):
        app, room = path.parts[-3], path.stem
        for node in ast.parse(path.read_text()).body:
            if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
                continue
            keywords = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            if not any(argument.arg == "actor" and default is None for argument, default in keywords):
                found.add(f"{app}.{room}.{node.name}")
    return found


def test_every_service_that_writes_wants_an_actor():
    assert without_actor() == READS | PARTS
