import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import outreach.common.moves
import tenants.models.base
from tenants.models import ProtectTenantRows
from tenants.models.base import AddTenantKeys


class Migration(migrations.Migration):
    dependencies = [
        ("mailboxes", "0010_edits"),
        ("tenants", "0012_sign_in"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Upload",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("file_name", models.CharField(max_length=255, verbose_name="file")),
                ("file_hash", models.CharField(max_length=64, verbose_name="SHA-256")),
                ("size", models.PositiveIntegerField(verbose_name="bytes")),
                ("source", models.CharField(blank=True, max_length=100, verbose_name="source")),
                ("sheet", models.CharField(blank=True, max_length=100, verbose_name="sheet")),
                ("ramp", models.CharField(blank=True, max_length=100, verbose_name="ramp")),
                ("test_sign_in", models.BooleanField(default=False, verbose_name="sign in with each")),
                ("titles", models.JSONField(blank=True, default=list, editable=False)),
                ("columns", models.JSONField(blank=True, default=dict, verbose_name="columns")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "waits for the check"),
                            ("columns", "needs names for its columns"),
                            ("ready", "checked, waits for a yes"),
                            ("confirmed", "waits for the import"),
                            ("done", "imported"),
                            ("failed", "failed"),
                            ("discarded", "thrown away"),
                        ],
                        default="waiting",
                        max_length=10,
                        verbose_name="state",
                    ),
                ),
                ("reason", models.CharField(blank=True, max_length=1000, verbose_name="reason")),
                ("claim", models.UUIDField(blank=True, editable=False, null=True)),
                ("claimed_until", models.DateTimeField(blank=True, editable=False, null=True)),
                ("attempts", models.PositiveSmallIntegerField(default=0, verbose_name="begun")),
                ("rung_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("read", models.PositiveIntegerField(default=0, verbose_name="rows read")),
                ("bytes_read", models.PositiveIntegerField(default=0, editable=False)),
                ("preview", models.JSONField(blank=True, default=dict, editable=False)),
                ("seal_ref", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("sealed_key", models.BinaryField(default=b"")),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="at")),
                ("changed_at", models.DateTimeField(auto_now=True, verbose_name="changed at")),
                (
                    "by_user",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="person",
                    ),
                ),
                (
                    "done",
                    tenants.models.base.TenantForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="uploads",
                        to="mailboxes.import",
                        verbose_name="import",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "verbose_name": "upload",
                "verbose_name_plural": "uploads",
                "ordering": ("-pk",),
            },
            bases=(outreach.common.moves.Moves, models.Model),
        ),
        migrations.CreateModel(
            name="UploadPart",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[("file", "the file"), ("refused", "refused rows")], max_length=8, verbose_name="kind"
                    ),
                ),
                ("number", models.PositiveIntegerField(verbose_name="number")),
                ("box", models.BinaryField()),
                (
                    "of",
                    tenants.models.base.TenantForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="parts",
                        to="mailboxes.upload",
                        verbose_name="upload",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "verbose_name": "part of an upload",
                "verbose_name_plural": "parts of uploads",
                "ordering": ("of", "kind", "number"),
            },
        ),
        migrations.CreateModel(
            name="SignInTest",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "door",
                    models.CharField(
                        choices=[("smtp", "sending (SMTP)"), ("imap", "reading (IMAP)")],
                        max_length=4,
                        verbose_name="door",
                    ),
                ),
                ("host", models.CharField(max_length=253, verbose_name="host")),
                ("import_ref", models.BigIntegerField(blank=True, null=True, verbose_name="import")),
                (
                    "result",
                    models.CharField(
                        choices=[
                            ("waiting", "waiting"),
                            ("running", "under way"),
                            ("ok", "signed in"),
                            ("refused", "refused by the host"),
                            ("unknown", "could not tell"),
                            ("used_up", "not tried: failed too often"),
                        ],
                        default="waiting",
                        max_length=8,
                        verbose_name="result",
                    ),
                ),
                ("tries", models.PositiveSmallIntegerField(default=0, verbose_name="failed tries")),
                ("credential", models.BinaryField(default=b"")),
                ("text", models.CharField(blank=True, max_length=500, verbose_name="answer")),
                ("at", models.DateTimeField(blank=True, null=True, verbose_name="at")),
                (
                    "mailbox",
                    tenants.models.base.TenantForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="sign_in_tests",
                        to="mailboxes.mailbox",
                        verbose_name="mailbox",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "verbose_name": "sign-in test",
                "verbose_name_plural": "sign-in tests",
                "ordering": ("-pk",),
                "indexes": [
                    models.Index(
                        condition=models.Q(("result", "waiting")),
                        fields=["tenant", "host", "id"],
                        name="signintest_waiting",
                    ),
                    models.Index(fields=["import_ref", "result"], name="signintest_import"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("mailbox", "door"), name="signintest_once"),
                    models.CheckConstraint(condition=models.Q(("tries__lte", 3)), name="signintest_tries_bounded"),
                    models.CheckConstraint(
                        condition=models.Q(("door__in", ["smtp", "imap"])), name="signintest_door_known"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("result__in", ["waiting", "running", "ok", "refused", "unknown", "used_up"])
                        ),
                        name="signintest_result_known",
                    ),
                ],
            },
        ),
        migrations.AddIndex(
            model_name="upload",
            index=models.Index(fields=["tenant", "state"], name="upload_tenant_state"),
        ),
        migrations.AddIndex(
            model_name="upload",
            index=models.Index(fields=["done"], name="upload_done"),
        ),
        migrations.AddConstraint(
            model_name="upload",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("state__in", ["waiting", "columns", "ready", "confirmed", "done", "failed", "discarded"])
                ),
                name="upload_state_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="upload",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("claim", None), ("claimed_until", None)),
                    models.Q(("claim__isnull", False), ("claimed_until__isnull", False)),
                    _connector="OR",
                ),
                name="upload_claim_has_end",
            ),
        ),
        migrations.AddConstraint(
            model_name="uploadpart",
            constraint=models.UniqueConstraint(fields=("of", "kind", "number"), name="uploadpart_once"),
        ),
        AddTenantKeys("Upload"),
        AddTenantKeys("UploadPart", "SignInTest", unique=False),
        ProtectTenantRows("Upload", "UploadPart", "SignInTest"),
    ]
