"""Whether mailboxes can sign in: one row for each mailbox and door, and how often its credential failed."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from tenants.models import TenantForeignKey, TenantOwned

MOST_TRIES = 3  # failed sign-ins with one credential; hosts lock accounts after a few


class SignInTest(TenantOwned):
    """What came of signing in with a mailbox's credential at one door of its host.

    `tries` counts failed sign-ins with the credential that `credential` is a keyed hash of; a try is counted before
    the host is dialled, so that a process that dies in between can't try for ever.
    """

    class Door(models.TextChoices):
        SMTP = "smtp", _("sending (SMTP)")
        IMAP = "imap", _("reading (IMAP)")

    class Result(models.TextChoices):
        WAITING = "waiting", _("waiting")
        RUNNING = "running", _("under way")
        OK = "ok", _("signed in")
        REFUSED = "refused", _("refused by the host")
        UNKNOWN = "unknown", _("could not tell")
        USED_UP = "used_up", _("not tried: failed too often")

    mailbox = TenantForeignKey("mailboxes.Mailbox", related_name="sign_in_tests", verbose_name=_("mailbox"))
    door = models.CharField(_("door"), max_length=4, choices=Door)
    host = models.CharField(_("host"), max_length=253)
    import_ref = models.BigIntegerField(_("import"), null=True, blank=True)
    result = models.CharField(_("result"), max_length=8, choices=Result, default=Result.WAITING)
    tries = models.PositiveSmallIntegerField(_("failed tries"), default=0)
    credential = models.BinaryField(default=b"", editable=False)
    text = models.CharField(_("answer"), max_length=500, blank=True)
    at = models.DateTimeField(_("at"), null=True, blank=True)

    class Meta:
        ordering = ("-pk",)
        verbose_name = _("sign-in test")
        verbose_name_plural = _("sign-in tests")
        indexes = [
            models.Index(fields=["tenant", "host", "id"], condition=Q(result="waiting"), name="signintest_waiting"),
            models.Index(fields=["import_ref", "result"], name="signintest_import"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["mailbox", "door"], name="signintest_once"),
            models.CheckConstraint(condition=Q(tries__lte=MOST_TRIES), name="signintest_tries_bounded"),
            models.CheckConstraint(condition=Q(door__in=["smtp", "imap"]), name="signintest_door_known"),
            models.CheckConstraint(
                condition=Q(result__in=["waiting", "running", "ok", "refused", "unknown", "used_up"]),
                name="signintest_result_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.mailbox_id}, {self.door}"
