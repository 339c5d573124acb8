"""The one table of roles and what each may do. Permissions are `app.verb`."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

READ = frozenset({"tenants.view", "mailboxes.view", "campaigns.view", "deliverability.view"})
OPERATE = READ | {
    "campaigns.create",
    "campaigns.start",
    "campaigns.pause",
    "campaigns.resume",
    "campaigns.cancel",
    "campaigns.import_contacts",
    "campaigns.converse",
    "campaigns.stop",
    "campaigns.suppress",
    "campaigns.test",
    "mailboxes.quarantine",
    "mailboxes.hold",
    "deliverability.check",
}
MANAGE = OPERATE | {
    "tenants.approve",
    "tenants.audit",
    "campaigns.erase",
    "campaigns.export",
    "campaigns.lift",
    "campaigns.set_basis_rules",
    "campaigns.settle",
    "mailboxes.edit",
    "mailboxes.export",
    "mailboxes.import",
    "mailboxes.ramp",
    "mailboxes.release",
    "mailboxes.set_account_state",
    "mailboxes.set_bases",
    "mailboxes.set_cap",
    "tenants.issue_keys",
    "tenants.manage_members",
    "tenants.set_record",
    "tenants.suspend",
}
# What concerns no single tenant: a role held in one tenant never brings these.
PLATFORM = frozenset({"tenants.administer", "tenants.create", "campaigns.stop_platform", "campaigns.suppress_platform"})

ROLES: dict[str, frozenset[str]] = {
    "platform_admin": MANAGE | PLATFORM,
    # A superuser behind a broken glass: nothing that would outlive the hour.
    "break_glass": MANAGE - {"tenants.approve", "tenants.issue_keys", "tenants.manage_members"},
    "ops_manager": MANAGE | {"campaigns.stop_platform", "tenants.create"},
    "operator": OPERATE,
    "analyst": READ,
    "auditor": frozenset({"tenants.audit"}),
    "client_viewer": frozenset({"campaigns.view"}),
    "client_key": frozenset(
        {"campaigns.view", "campaigns.start", "campaigns.pause", "campaigns.resume", "campaigns.cancel"}
        | {
            "campaigns.converse",
            "campaigns.lift",
            "campaigns.suppress",
            "campaigns.test",
            "mailboxes.set_cap",
            "mailboxes.view",
            "tenants.view",
        }
    ),
}
# What a key keeps while its tenant is suspended: to look, and to stop.
WHILE_SUSPENDED = READ | {"campaigns.pause", "campaigns.cancel", "campaigns.suppress"}
# Held for one tenant, or for every tenant by the company's own staff; a client's people only for theirs.
FOR_EVERY_TENANT = ("platform_admin", "ops_manager", "operator", "analyst", "auditor")
OF_PEOPLE = (*FOR_EVERY_TENANT, "client_viewer")
# What somebody with tenants.manage_members may give away; the others only a platform admin.
GIVEN_BY_MANAGERS = ("operator", "analyst", "client_viewer")

ROLE_NAMES = {
    "platform_admin": _("platform admin"),
    "break_glass": _("broken glass"),
    "ops_manager": _("ops manager"),
    "operator": _("operator"),
    "analyst": _("analyst"),
    "auditor": _("auditor"),
    "client_viewer": _("client viewer"),
    "client_key": _("client key"),
}

ALL = frozenset().union(*ROLES.values())
