"""Services beside servers, what their own results say of them, and by which way a mailbox leaves meanwhile."""

import uuid

import django.contrib.postgres.functions
import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

import tenants.models.base
import tenants.models.history

KEY = """
ALTER TABLE mailboxes_mailbox ADD CONSTRAINT mailboxes_mailbox_standby_id_same_tenant
FOREIGN KEY (tenant_id, standby_id) REFERENCES mailboxes_provideraccount (tenant_id, id)"""
NO_KEY = "ALTER TABLE mailboxes_mailbox DROP CONSTRAINT mailboxes_mailbox_standby_id_same_tenant"


class Migration(migrations.Migration):
    dependencies = [
        ("mailboxes", "0016_campaign_total"),
        ("tenants", "0014_bases"),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name="provideraccount",
            name="insert",
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="provideraccount",
            name="update",
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="provideraccount",
            name="delete",
        ),
        migrations.RemoveConstraint(
            model_name="provideraccount",
            name="provider_once",
        ),
        migrations.AddField(
            model_name="mailbox",
            name="standby",
            field=tenants.models.base.TenantForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                help_text="By which it leaves while its own account is out.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="guests",
                to="mailboxes.provideraccount",
            ),
        ),
        migrations.AddField(
            model_name="provideraccount",
            name="circuit",
            field=models.CharField(
                choices=[
                    ("closed", "closed: mail passes"),
                    ("open", "open: nothing passes"),
                    ("half_open", "half open: a probe is under way"),
                ],
                db_default="closed",
                default="closed",
                max_length=10,
            ),
        ),
        migrations.AddField(
            model_name="provideraccount",
            name="failures",
            field=models.PositiveSmallIntegerField(
                db_default=0, default=0, help_text="Openings of the circuit in a row."
            ),
        ),
        migrations.AddField(
            model_name="provideraccount",
            name="name",
            field=models.CharField(
                blank=True, db_default="", help_text="Of a service; empty for a server.", max_length=100
            ),
        ),
        migrations.AddField(
            model_name="provideraccount",
            name="options",
            field=models.JSONField(
                blank=True, db_default={}, default=dict, help_text="What else the service is told, by name."
            ),
        ),
        migrations.AddField(
            model_name="provideraccount",
            name="probe_at",
            field=models.DateTimeField(blank=True, help_text="When an open circuit is tried again.", null=True),
        ),
        migrations.AddField(
            model_name="provideraccount",
            name="region",
            field=models.CharField(
                blank=True, db_default="", help_text="Of a service that has several.", max_length=40
            ),
        ),
        migrations.AddField(
            model_name="provideraccount",
            name="seal_ref",
            field=models.UUIDField(
                db_default=django.contrib.postgres.functions.RandomUUID(),
                default=uuid.uuid4,
                editable=False,
                unique=True,
            ),
        ),
        migrations.AddField(
            model_name="provideraccount",
            name="sealed_secret",
            field=models.BinaryField(db_default=b"", default=b""),
        ),
        migrations.AddField(
            model_name="provideraccount",
            name="signs_dkim",
            field=models.BooleanField(
                db_default=False, default=False, help_text="The console signs its mail, since the server does not."
            ),
        ),
        migrations.AddField(
            model_name="provideraccountevent",
            name="name",
            field=models.CharField(
                blank=True, db_default="", help_text="Of a service; empty for a server.", max_length=100
            ),
        ),
        migrations.AddField(
            model_name="provideraccountevent",
            name="options",
            field=models.JSONField(
                blank=True, db_default={}, default=dict, help_text="What else the service is told, by name."
            ),
        ),
        migrations.AddField(
            model_name="provideraccountevent",
            name="region",
            field=models.CharField(
                blank=True, db_default="", help_text="Of a service that has several.", max_length=40
            ),
        ),
        migrations.AddField(
            model_name="provideraccountevent",
            name="signs_dkim",
            field=models.BooleanField(
                db_default=False, default=False, help_text="The console signs its mail, since the server does not."
            ),
        ),
        migrations.AlterField(
            model_name="provideraccount",
            name="kind",
            field=models.CharField(
                choices=[("smtp", "SMTP"), ("ses", "Amazon SES"), ("mailgun", "Mailgun"), ("postmark", "Postmark")],
                default="smtp",
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="provideraccountevent",
            name="kind",
            field=models.CharField(
                choices=[("smtp", "SMTP"), ("ses", "Amazon SES"), ("mailgun", "Mailgun"), ("postmark", "Postmark")],
                default="smtp",
                max_length=10,
            ),
        ),
        migrations.AddIndex(
            model_name="mailbox",
            index=models.Index(
                condition=models.Q(("standby__isnull", False)), fields=["standby"], name="mailbox_standby"
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="provideraccount",
            trigger=pgtrigger.compiler.Trigger(
                name="insert",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "mailboxes_provideraccountevent" ("quota_group_id", "tenant_id", "id", "kind", "name", "host", "port", "security", "region", "options", "signs_dkim", "hourly_cap", "imap_host", "imap_port", "spf_terms", "allowed_bases", "bases_link", "bases_on", "state", "state_reason", "created_at", "pgh_created_at", "pgh_label", "pgh_context") SELECT new_values."quota_group_id", new_values."tenant_id", new_values."id", new_values."kind", new_values."name", new_values."host", new_values."port", new_values."security", new_values."region", new_values."options", new_values."signs_dkim", new_values."hourly_cap", new_values."imap_host", new_values."imap_port", new_values."spf_terms", new_values."allowed_bases", new_values."bases_link", new_values."bases_on", new_values."state", new_values."state_reason", new_values."created_at", NOW(), \'insert\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb FROM new_values ; RETURN NULL;',
                    hash="d55944021d05f39b32ddb9c6aa99e3a06e37da87",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_insert_d27bf",
                    referencing="REFERENCING NEW TABLE AS new_values ",
                    table="mailboxes_provideraccount",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="provideraccount",
            trigger=pgtrigger.compiler.Trigger(
                name="update",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "mailboxes_provideraccountevent" ("quota_group_id", "tenant_id", "id", "kind", "name", "host", "port", "security", "region", "options", "signs_dkim", "hourly_cap", "imap_host", "imap_port", "spf_terms", "allowed_bases", "bases_link", "bases_on", "state", "state_reason", "created_at", "pgh_created_at", "pgh_label", "pgh_context", "pgh_before") SELECT new_values."quota_group_id", new_values."tenant_id", new_values."id", new_values."kind", new_values."name", new_values."host", new_values."port", new_values."security", new_values."region", new_values."options", new_values."signs_dkim", new_values."hourly_cap", new_values."imap_host", new_values."imap_port", new_values."spf_terms", new_values."allowed_bases", new_values."bases_link", new_values."bases_on", new_values."state", new_values."state_reason", new_values."created_at", NOW(), \'update\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb, CASE WHEN old_values."tenant_id" IS DISTINCT FROM new_values."tenant_id" THEN jsonb_build_object(\'tenant\', old_values."tenant_id") ELSE \'{}\'::jsonb END || CASE WHEN old_values."kind" IS DISTINCT FROM new_values."kind" THEN jsonb_build_object(\'kind\', old_values."kind") ELSE \'{}\'::jsonb END || CASE WHEN old_values."name" IS DISTINCT FROM new_values."name" THEN jsonb_build_object(\'name\', old_values."name") ELSE \'{}\'::jsonb END || CASE WHEN old_values."host" IS DISTINCT FROM new_values."host" THEN jsonb_build_object(\'host\', old_values."host") ELSE \'{}\'::jsonb END || CASE WHEN old_values."port" IS DISTINCT FROM new_values."port" THEN jsonb_build_object(\'port\', old_values."port") ELSE \'{}\'::jsonb END || CASE WHEN old_values."security" IS DISTINCT FROM new_values."security" THEN jsonb_build_object(\'security\', old_values."security") ELSE \'{}\'::jsonb END || CASE WHEN old_values."region" IS DISTINCT FROM new_values."region" THEN jsonb_build_object(\'region\', old_values."region") ELSE \'{}\'::jsonb END || CASE WHEN old_values."options" IS DISTINCT FROM new_values."options" THEN jsonb_build_object(\'options\', old_values."options") ELSE \'{}\'::jsonb END || CASE WHEN old_values."sealed_secret" IS DISTINCT FROM new_values."sealed_secret" THEN jsonb_build_object(\'sealed_secret\', NULL) ELSE \'{}\'::jsonb END || CASE WHEN old_values."signs_dkim" IS DISTINCT FROM new_values."signs_dkim" THEN jsonb_build_object(\'signs_dkim\', old_values."signs_dkim") ELSE \'{}\'::jsonb END || CASE WHEN old_values."quota_group_id" IS DISTINCT FROM new_values."quota_group_id" THEN jsonb_build_object(\'quota_group\', old_values."quota_group_id") ELSE \'{}\'::jsonb END || CASE WHEN old_values."hourly_cap" IS DISTINCT FROM new_values."hourly_cap" THEN jsonb_build_object(\'hourly_cap\', old_values."hourly_cap") ELSE \'{}\'::jsonb END || CASE WHEN old_values."imap_host" IS DISTINCT FROM new_values."imap_host" THEN jsonb_build_object(\'imap_host\', old_values."imap_host") ELSE \'{}\'::jsonb END || CASE WHEN old_values."imap_port" IS DISTINCT FROM new_values."imap_port" THEN jsonb_build_object(\'imap_port\', old_values."imap_port") ELSE \'{}\'::jsonb END || CASE WHEN old_values."spf_terms" IS DISTINCT FROM new_values."spf_terms" THEN jsonb_build_object(\'spf_terms\', old_values."spf_terms") ELSE \'{}\'::jsonb END || CASE WHEN old_values."allowed_bases" IS DISTINCT FROM new_values."allowed_bases" THEN jsonb_build_object(\'allowed_bases\', old_values."allowed_bases") ELSE \'{}\'::jsonb END || CASE WHEN old_values."bases_link" IS DISTINCT FROM new_values."bases_link" THEN jsonb_build_object(\'bases_link\', old_values."bases_link") ELSE \'{}\'::jsonb END || CASE WHEN old_values."bases_on" IS DISTINCT FROM new_values."bases_on" THEN jsonb_build_object(\'bases_on\', old_values."bases_on") ELSE \'{}\'::jsonb END || CASE WHEN old_values."state" IS DISTINCT FROM new_values."state" THEN jsonb_build_object(\'state\', old_values."state") ELSE \'{}\'::jsonb END || CASE WHEN old_values."state_reason" IS DISTINCT FROM new_values."state_reason" THEN jsonb_build_object(\'state_reason\', old_values."state_reason") ELSE \'{}\'::jsonb END || CASE WHEN old_values."created_at" IS DISTINCT FROM new_values."created_at" THEN jsonb_build_object(\'created_at\', old_values."created_at") ELSE \'{}\'::jsonb END FROM old_values RIGHT JOIN new_values ON (old_values."id") = (new_values."id") WHERE (old_values."allowed_bases" IS DISTINCT FROM (new_values."allowed_bases") OR old_values."bases_link" IS DISTINCT FROM (new_values."bases_link") OR old_values."bases_on" IS DISTINCT FROM (new_values."bases_on") OR old_values."created_at" IS DISTINCT FROM (new_values."created_at") OR old_values."host" IS DISTINCT FROM (new_values."host") OR old_values."hourly_cap" IS DISTINCT FROM (new_values."hourly_cap") OR old_values."imap_host" IS DISTINCT FROM (new_values."imap_host") OR old_values."imap_port" IS DISTINCT FROM (new_values."imap_port") OR old_values."kind" IS DISTINCT FROM (new_values."kind") OR old_values."name" IS DISTINCT FROM (new_values."name") OR old_values."options" IS DISTINCT FROM (new_values."options") OR old_values."port" IS DISTINCT FROM (new_values."port") OR old_values."quota_group_id" IS DISTINCT FROM (new_values."quota_group_id") OR old_values."region" IS DISTINCT FROM (new_values."region") OR old_values."sealed_secret" IS DISTINCT FROM (new_values."sealed_secret") OR old_values."security" IS DISTINCT FROM (new_values."security") OR old_values."signs_dkim" IS DISTINCT FROM (new_values."signs_dkim") OR old_values."spf_terms" IS DISTINCT FROM (new_values."spf_terms") OR old_values."state" IS DISTINCT FROM (new_values."state") OR old_values."state_reason" IS DISTINCT FROM (new_values."state_reason") OR old_values."tenant_id" IS DISTINCT FROM (new_values."tenant_id")); RETURN NULL;',
                    hash="55590e21afee96630737b11999b5cfbe63eaa415",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_update_52c6f",
                    referencing="REFERENCING OLD TABLE AS old_values  NEW TABLE AS new_values ",
                    table="mailboxes_provideraccount",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="provideraccount",
            trigger=pgtrigger.compiler.Trigger(
                name="delete",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "mailboxes_provideraccountevent" ("quota_group_id", "tenant_id", "id", "kind", "name", "host", "port", "security", "region", "options", "signs_dkim", "hourly_cap", "imap_host", "imap_port", "spf_terms", "allowed_bases", "bases_link", "bases_on", "state", "state_reason", "created_at", "pgh_created_at", "pgh_label", "pgh_context") SELECT old_values."quota_group_id", old_values."tenant_id", old_values."id", old_values."kind", old_values."name", old_values."host", old_values."port", old_values."security", old_values."region", old_values."options", old_values."signs_dkim", old_values."hourly_cap", old_values."imap_host", old_values."imap_port", old_values."spf_terms", old_values."allowed_bases", old_values."bases_link", old_values."bases_on", old_values."state", old_values."state_reason", old_values."created_at", NOW(), \'delete\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb FROM old_values ; RETURN NULL;',
                    hash="1403a79552376e9f3b71d6dc01dc9d4ad38a9b04",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_delete_34e31",
                    referencing="REFERENCING OLD TABLE AS old_values ",
                    table="mailboxes_provideraccount",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddConstraint(
            model_name="provideraccount",
            constraint=models.UniqueConstraint(
                fields=("tenant", "kind", "host", "port", "security", "name"), name="provider_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="provideraccount",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "smtp"), ("name", "")),
                    models.Q(models.Q(("kind", "smtp"), _negated=True), models.Q(("name", ""), _negated=True)),
                    _connector="OR",
                ),
                name="provider_name_of_service",
            ),
        ),
        migrations.AddConstraint(
            model_name="provideraccount",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["smtp", "ses", "mailgun", "postmark"])), name="provider_kind_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="provideraccount",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("circuit", "closed"), ("probe_at", None)),
                    models.Q(("circuit__in", ["open", "half_open"]), ("probe_at__isnull", False)),
                    _connector="OR",
                ),
                name="provider_circuit_has_probe",
            ),
        ),
        migrations.RunSQL(KEY, NO_KEY),
    ]
