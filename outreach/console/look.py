"""How the console looks and what its side bar offers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

Check = Callable[[Any], bool]


def may(*permissions: str) -> Check:
    """Whether the person of a request sees an entry of the side bar: any of these permissions will do."""
    return lambda request: any(request.actor.can(permission) for permission in permissions)


def is_superuser(request: Any) -> bool:
    return request.actor.user_id is not None and request.user.is_superuser


def entry(title: Any, icon: str, page: str, *permissions: str) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": reverse_lazy(f"admin:{page}"), "permission": may(*permissions)}


def models(title: Any, *entries: tuple[Any, ...], more: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """A group of lists (title, icon, app_model, permissions of which any will do), and other pages after them."""
    items = [entry(name, icon, f"{model}_changelist", *permissions) for name, icon, model, *permissions in entries]
    return {"title": title, "separator": True, "items": [*items, *more]}


MEMBERS = ("tenants.manage_members", "tenants.administer")
ROLES = {"title": _("Roles"), "icon": "table", "link": reverse_lazy("admin:roles")}
BREAK_GLASS = {
    "title": _("Break the glass"),
    "icon": "e911_emergency",
    "link": reverse_lazy("admin:break_glass"),
    "permission": is_superuser,
}

NAVIGATION: list[dict[str, Any]] = [
    {
        "title": "",
        "items": [
            {"title": _("Overview"), "icon": "dashboard", "link": reverse_lazy("admin:index")},
            entry(_("Uncertain mail"), "help", "uncertain", "campaigns.view"),
            entry(_("What waits for whom"), "pending", "waiting", "deliverability.view"),
            entry(_("Stops"), "front_hand", "campaigns_stop_changelist", "mailboxes.view"),
            entry(_("Waits for two"), "how_to_vote", "tenants_approval_changelist", "tenants.view"),
        ],
    },
    models(
        _("Campaigns"),
        (_("Campaigns"), "campaign", "campaigns_campaign", "campaigns.view"),
        (_("Messages"), "mail", "campaigns_message", "campaigns.view"),
        (_("Attempts"), "report", "campaigns_attempt", "campaigns.view"),
        (_("Enrolments"), "how_to_reg", "campaigns_enrolment", "campaigns.view"),
        (_("Planner runs"), "event_repeat", "campaigns_planrun", "campaigns.view"),
        (_("Batches"), "stacks", "campaigns_batch", "campaigns.view"),
    ),
    models(
        _("People"),
        (_("Contacts"), "group", "campaigns_contact", "campaigns.view"),
        (_("Conversations"), "forum", "campaigns_conversation", "campaigns.view"),
        (_("Lists"), "list_alt", "campaigns_contactlist", "campaigns.view"),
        (_("Imports of contacts"), "upload_file", "campaigns_contactimport", "campaigns.view"),
        (_("Uploaded contacts"), "drive_folder_upload", "campaigns_contactupload", "campaigns.view"),
        (_("Clicks"), "ads_click", "campaigns_click", "campaigns.view"),
        (_("Suppressions"), "block", "campaigns_suppression", "campaigns.view"),
        (_("Suppression lists"), "playlist_remove", "campaigns_suppressionlist", "campaigns.view"),
        (_("Uses of verifiers"), "price_check", "deliverability_verifieruse", "deliverability.view"),
        more=[entry(_("Who may be written to"), "gavel", "campaigns_basisrule_table", "campaigns.view")],
    ),
    models(
        _("Fleet"),
        (_("Mailboxes"), "inbox", "mailboxes_mailbox", "mailboxes.view"),
        (_("Pools"), "workspaces", "mailboxes_pool", "mailboxes.view"),
        (_("Sending domains"), "language", "mailboxes_sendingdomain", "mailboxes.view"),
        (_("Provider accounts"), "dns", "mailboxes_provideraccount", "mailboxes.view"),
        (_("Allowances"), "speed", "mailboxes_allowance", "mailboxes.view"),
        (_("Quota groups"), "hub", "mailboxes_quotagroup", "tenants.administer"),
        (_("Limits of receivers"), "mark_email_read", "mailboxes_receiverlimit", "tenants.administer"),
        (_("Recipients' domains"), "travel_explore", "mailboxes_receiverdomain", "tenants.administer"),
        (_("Ramp plans"), "trending_up", "mailboxes_rampplan", "mailboxes.view"),
        (_("Quarantines"), "healing", "mailboxes_quarantinecase", "mailboxes.view"),
        (_("Retirements"), "inventory_2", "mailboxes_retirement", "mailboxes.view"),
        (_("Days of ramps"), "stairs", "mailboxes_rampday", "mailboxes.view"),
        (_("Days of domains' ramps"), "stairs", "mailboxes_domainrampday", "mailboxes.view"),
        (_("Imports"), "upload_file", "mailboxes_import", "mailboxes.view"),
        (_("Checks of domains"), "fact_check", "deliverability_domaincheck", "deliverability.view"),
        (_("Bulk edits"), "edit_note", "mailboxes_bulkedit", "mailboxes.view"),
        (_("Uploaded files"), "drive_folder_upload", "mailboxes_upload", "mailboxes.view"),
        (_("Sign-in tests"), "passkey", "mailboxes_signintest", "mailboxes.view"),
    ),
    models(
        _("Who may"),
        (_("Memberships"), "badge", "tenants_membership", *MEMBERS),
        (_("Invitations"), "forward_to_inbox", "tenants_invitation", *MEMBERS),
        (_("Broken glass"), "emergency_home", "tenants_breakglass", *MEMBERS),
        more=[BREAK_GLASS, ROLES],
    ),
    models(
        _("Who did what"),
        (_("Audit"), "history_edu", "tenants_auditentry", "tenants.audit"),
        (_("Audit chains"), "link", "tenants_auditchain", "tenants.audit"),
    ),
    models(
        _("Platform"),
        (_("Tenants"), "apartment", "tenants_tenant", "tenants.view"),
        (_("Approval policies"), "balance", "tenants_approvalpolicy", "tenants.view"),
        (_("API keys"), "vpn_key", "tenants_apikey", "tenants.issue_keys"),
        (_("Users"), "person", "tenants_user", "tenants.administer"),
        (_("Second factors"), "key", "tenants_secondfactor", "tenants.administer"),
        (_("Recovery sheets"), "list_alt", "tenants_recoverysheet", "tenants.administer"),
        (_("Sessions"), "devices", "tenants_signedin", "tenants.administer"),
        (_("Sign-in attempts"), "login", "axes_accessattempt", "tenants.administer"),
        (_("Job queues"), "pending_actions", "django_rq_dashboard", "tenants.administer"),
        (_("Leases"), "lock_clock", "tenants_lease", "tenants.administer"),
    ),
]

LOOK: dict[str, Any] = {
    "SITE_TITLE": _("Outreach console"),
    "SITE_HEADER": _("Outreach"),
    "SITE_SUBHEADER": _("Control room"),
    "SITE_SYMBOL": "outgoing_mail",
    "SITE_URL": None,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("console/icon.svg")}],
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "SIDEBAR": {"show_search": True, "show_all_applications": False, "command_search": False, "navigation": NAVIGATION},
}
