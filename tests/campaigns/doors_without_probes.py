"""Doors that need no probe, and why."""

from __future__ import annotations

# Doors without a probe, and why they need none.
ONLY_MAILBOXES = "changes what mail goes out by; to whom, the gates decide afterwards, as after a hand-over"
READS = "changes nothing"
STOPS = "only takes mail back or ends it"
OTHER = "is about no mail"
PEOPLE = "brings, judges or puts off people; whom of them a campaign may reach the gates decide, as after an import"
RUNS = "runs the jobs and periodic works that are listed here"
NEEDLESS = {
    PEOPLE: [
        "command validate_contacts", "command account_bases", "command basis_rules set",
        "console campaigns.BasisRule add",
        "console campaigns.Contact validate_now", "console campaigns.ContactImport roll_back",
        *(f"console campaigns.ContactUpload {name}" for name in ("add", "confirm", "discard")),
        "console campaigns.Conversation release", "console mailboxes.ProviderAccount set_bases",
        "console tenants.Tenant set_frequency", "job work_on_upload",
        *(f"cron {name}" for name in ("validate_contacts", "revalidate_contacts")),
    ],
    ONLY_MAILBOXES: [
        *(f"command {name}" for name in ("import_mailboxes", "import_domains", "edit_mailboxes")),
        *(f"command {name}" for name in (
            "check_domains", "mailbox retire", "quota account", "quota group", "quota receiver", "ramp start",
            "ramp stop",
        )),
        "api mailboxes set_cap",
        *(f"console mailboxes.Mailbox {name}" for name in (
            "edit", "probe", "hold", "lift_hold", "set_password", "set_cap", "start_ramp", "leave_ramp", "retire",
        )),
        *(f"console mailboxes.SendingDomain {name}" for name in (
            "check_now", "block", "unblock", "retire", "start_ramp", "leave_ramp", "add",
        )),
        *(f"console mailboxes.ProviderAccount {name}" for name in ("pause", "suspend", "activate", "set_spf_terms")),
        "command route set", "cron probe_accounts",
        *(f"console mailboxes.Retirement {name}" for name in ("assign", "give_up")),
        *(f"console mailboxes.{name} add" for name in ("RampPlan", "QuotaGroup", "ReceiverLimit", "Upload")),
        *(f"console mailboxes.{name}" for name in ("Import roll_back", "Upload confirm", "Upload discard")),
        "console campaigns.Campaign set_handover", "console tenants.Tenant set_cap",
        *(f"cron {name}" for name in ("ramps", "check_domains", "find_receivers", "uploads", "stops_over")),
    ],
    READS: [
        *(f"command {name}" for name in (
            "campaign check", "campaign status", "check_domain", "doctor", "domain_records", "dumpdata",
            "explain campaign", "explain mailbox", "explain tenant", "explain contact", "explain message",
            "campaign preview", "conversation list", "basis_rules show", "route show",
            "export_mailboxes", "forecast", "ramp show",
            "verify_audit",
        )),
        *(f"console {name} export" for name in (
            "campaigns.Campaign", "campaigns.Contact", "campaigns.ContactList", "campaigns.Suppression",
            "campaigns.SuppressionList", "mailboxes.Mailbox", "tenants.AuditEntry",
        )),
        "console mailboxes.SendingDomain records_csv", "console mailboxes.SendingDomain records_zone",
        *(f"console campaigns_{name}" for name in (
            "campaign_chart", "campaign_forecast", "campaign_forecast_curve", "forecast_tenant", "forecast_pool",
            "forecast_pool_curve", "basisrule_table", "campaign_preflight", "campaign_preview", "contact_verdicts",
            "contactupload_columns", "contactupload_panel", "contactupload_refused",
        )),
        "console campaigns.Contact tag", "console campaigns.Contact untag",
    ],
    STOPS: [
        "api contacts not_interested", "console campaigns.Message mark_answered", "cron watch_canaries",
        "console campaigns.Contact remove_from_list", "console campaigns.Contact erase", "command erase_contact",
        "command campaign cancel", "api campaigns cancel", "console campaigns.Campaign cancel",
        "console campaigns.Stop add", "console campaigns.SeedAddress archive", "console tenants.Tenant suspend",
        "console campaigns.Message settle_sent", "command import_suppressions", "page unsubscribe", "page click",
    ],
    OTHER: [
        *(f"command {name}" for name in (
            "create_roles", "create_tenant", "issue_key", "rotate_keys", "tenant_record",
        )),
        *(f"console tenants.{name}" for name in (
            "ApiKey revoke", "ApiKey add", "Approval refuse", "Approval withdraw", "BreakGlass mend",
            "Invitation revoke", "Invitation add", "Membership end", "Membership add", "SignedIn end", "Tenant add",
            "User shut_out", "User let_in", "User sign_out", "User new_password", "User renew", "User add",
        )),
        *(f"cron {name}" for name in ("months", "forget_undo", "forget_checks", "forget_uploads", "tidy_circuits")),
    ],
    RUNS: ["command demo", "command up", "command worker"],
}  # fmt: skip
