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
    "campaigns.suppress",
    "mailboxes.quarantine",
    "mailboxes.hold",
}
MANAGE = OPERATE | {
    "mailboxes.import",
    "mailboxes.release",
    "mailboxes.set_cap",
    "mailboxes.set_account_state",
    "campaigns.settle",
    "tenants.create",
    "tenants.suspend",
}

ROLES: dict[str, frozenset[str]] = {
    "platform_admin": MANAGE | {"tenants.administer", "campaigns.suppress_platform"},
    "ops_manager": MANAGE,
    "operator": OPERATE,
    "analyst": READ,
    "auditor": frozenset({"tenants.audit"}),
    "client_viewer": frozenset({"campaigns.view"}),
    "client_key": frozenset(
        {"campaigns.view", "campaigns.start", "campaigns.pause", "campaigns.resume", "campaigns.cancel"}
        | {"campaigns.suppress"}
    ),
}

ROLE_NAMES = {
    "platform_admin": _("platform admin"),
    "ops_manager": _("ops manager"),
    "operator": _("operator"),
    "analyst": _("analyst"),
    "auditor": _("auditor"),
    "client_viewer": _("client viewer"),
    "client_key": _("client key"),
}

ALL = frozenset().union(*ROLES.values())
