"""Files of mailboxes that people bring in the browser."""

from __future__ import annotations

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from mailboxes.models.sign_ins import SignInTest
from outreach.common import sealed_fields
from tenants.models import FilePart, FileUpload, TenantForeignKey


class Upload(FileUpload):
    """One file of mailboxes; after its import the sign-ins that it asked for are a worker's turn too."""

    PERMISSION, TASK = "mailboxes.import", "mailboxes.tasks.work_on_upload"
    SEAL = sealed_fields.register("mailboxes.Upload", "sealed_key", "upload_key")

    ramp = models.CharField(_("ramp"), max_length=100, blank=True)
    test_sign_in = models.BooleanField(_("sign in with each"), default=False)
    done = TenantForeignKey("mailboxes.Import", null=True, blank=True, related_name="uploads", verbose_name=_("import"))

    class Meta(FileUpload.Meta):
        verbose_name = _("upload")
        verbose_name_plural = _("uploads")

    @classmethod
    def further_turns(cls) -> Q:
        waits = SignInTest.objects.filter(import_ref=OuterRef("done"), result=SignInTest.Result.WAITING)
        return Q(Exists(waits), test_sign_in=True)


class UploadPart(FilePart):
    """A piece of an upload of mailboxes."""

    of = TenantForeignKey("mailboxes.Upload", on_delete=models.CASCADE, related_name="parts", verbose_name=_("upload"))

    class Meta(FilePart.Meta):
        verbose_name = _("part of an upload")
        verbose_name_plural = _("parts of uploads")
