import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import outreach.common.moves
import tenants.models.base
from outreach.common import addresses, providers
from outreach.common.hashing import Hasher
from tenants.models import AddTenantKeys, ProtectTenantRows

BATCH = 5000

NEXT = """
SELECT id, email_key, address_hash FROM campaigns_contact WHERE id > %s ORDER BY id LIMIT %s"""

COMPANIES = """
UPDATE campaigns_contact c SET company_domain = given.name
FROM unnest(%s::bigint[], %s::text[]) AS given (id, name) WHERE c.id = given.id"""

# The hash of the spelling joins the domain's: an entry of the spelling, which nobody can compute anew, goes on blocking.
HASHES = """
UPDATE campaigns_contact c SET address_hash = given.new, domain_hashes = c.domain_hashes || given.old
FROM unnest(%(ids)s::bigint[], %(olds)s::bytea[], %(news)s::bytea[]) AS given (id, old, new) WHERE c.id = given.id"""

# The first of several contacts of one person takes the new key; the others keep theirs and stay readable.
KEYS = """
UPDATE campaigns_contact c SET email_key = first.key
FROM (
    SELECT DISTINCT ON (o.tenant_id, given.key) o.id, o.tenant_id, given.key
    FROM unnest(%(ids)s::bigint[], %(keys)s::text[]) AS given (id, key) JOIN campaigns_contact o ON o.id = given.id
    ORDER BY o.tenant_id, given.key, o.id
) AS first
WHERE c.id = first.id AND NOT EXISTS (
    SELECT FROM campaigns_contact x WHERE x.tenant_id = first.tenant_id AND x.email_key = first.key)"""

# Entries whose spelling some contact tells: from now on they block all spellings, in their own scope.
ENTRIES = """
UPDATE campaigns_suppression s SET hash = first.new
FROM (
    SELECT DISTINCT ON (given.new, o.tenant_id, o.campaign_id) o.id, o.tenant_id, o.campaign_id, given.new
    FROM unnest(%(olds)s::bytea[], %(news)s::bytea[]) AS given (old, new)
    JOIN campaigns_suppression o ON o.hash = given.old AND o.kind = 'address' AND o.lifted_at IS NULL
    ORDER BY given.new, o.tenant_id, o.campaign_id, o.id
) AS first
WHERE s.id = first.id AND NOT EXISTS (
    SELECT FROM campaigns_suppression x
    WHERE x.hash = first.new AND x.lifted_at IS NULL AND x.tenant_id IS NOT DISTINCT FROM first.tenant_id
      AND x.campaign_id IS NOT DISTINCT FROM first.campaign_id)"""


def tell_people_apart(apps, schema_editor):
    """Give contacts the key and hash of the person, and the domain of the company."""
    keyed, last = Hasher.parse(settings.HASH_KEY), 0
    with schema_editor.connection.cursor() as cursor:
        while True:
            cursor.execute(NEXT, [last, BATCH])
            rows = cursor.fetchall()
            if not rows:
                return
            last = rows[-1][0]
            companies = [(pk, providers.company_domain(addresses.domain_of(key))) for pk, key, _ in rows]
            cursor.execute(COMPANIES, list(map(list, zip(*companies, strict=True))))
            found = [(pk, _identity(key), bytes(old)) for pk, key, old in rows if _identity(key) != key]
            if found:
                values = {
                    "ids": [pk for pk, _, _ in found],
                    "keys": [key for _, key, _ in found],
                    "olds": [old for _, _, old in found],
                    "news": [keyed.address(key) for _, key, _ in found],
                }
                for statement in (HASHES, KEYS, ENTRIES):
                    cursor.execute(statement, values)


def _identity(key):
    spelling = providers.SPELLINGS.get(addresses.domain_of(key))
    return spelling.identity(key) if spelling else key


class Migration(migrations.Migration):
    dependencies = [
        ("campaigns", "0011_demand"),
        ("tenants", "0013_frequency"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="contactimport",
            name="entries_after",
            field=models.BigIntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.AddField(
            model_name="contactimport",
            name="entries_until",
            field=models.BigIntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.AddField(
            model_name="contactimport",
            name="kept",
            field=models.PositiveIntegerField(db_default=0, default=0, verbose_name="kept"),
        ),
        migrations.AddField(
            model_name="contactimport",
            name="removed",
            field=models.PositiveIntegerField(db_default=0, default=0, verbose_name="removed again"),
        ),
        migrations.AddField(
            model_name="contactimport",
            name="restored",
            field=models.PositiveIntegerField(db_default=0, default=0, verbose_name="restored"),
        ),
        migrations.CreateModel(
            name="ContactUpload",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("file_name", models.CharField(max_length=255, verbose_name="file")),
                ("file_hash", models.CharField(max_length=64, verbose_name="SHA-256")),
                ("size", models.PositiveIntegerField(verbose_name="bytes")),
                ("source", models.CharField(blank=True, max_length=100, verbose_name="source")),
                ("sheet", models.CharField(blank=True, max_length=100, verbose_name="sheet")),
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
                ("list_name", models.CharField(max_length=200, verbose_name="list")),
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
                        to="campaigns.contactimport",
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
                "verbose_name": "upload of contacts",
                "verbose_name_plural": "uploads of contacts",
                "ordering": ("-pk",),
                "abstract": False,
            },
            bases=(outreach.common.moves.Moves, models.Model),
        ),
        migrations.CreateModel(
            name="ContactUploadPart",
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
                        to="campaigns.contactupload",
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
                "verbose_name": "part of an upload of contacts",
                "verbose_name_plural": "parts of uploads of contacts",
                "ordering": ("of", "kind", "number"),
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="ImportedContact",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("contact_ref", models.BigIntegerField(verbose_name="contact")),
                ("before", models.JSONField(default=dict, verbose_name="before")),
                ("after", models.JSONField(default=dict, verbose_name="after")),
                (
                    "of",
                    tenants.models.base.TenantForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="rows",
                        to="campaigns.contactimport",
                        verbose_name="import",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "verbose_name": "changed contact",
                "verbose_name_plural": "changed contacts",
                "ordering": ("pk",),
            },
        ),
        migrations.AddIndex(
            model_name="contactupload",
            index=models.Index(fields=["tenant", "state"], name="contactupload_tenant_state"),
        ),
        migrations.AddIndex(
            model_name="contactupload",
            index=models.Index(fields=["done"], name="contactupload_done"),
        ),
        migrations.AddConstraint(
            model_name="contactupload",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("state__in", ["waiting", "columns", "ready", "confirmed", "done", "failed", "discarded"])
                ),
                name="contactupload_state_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="contactupload",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("claim", None), ("claimed_until", None)),
                    models.Q(("claim__isnull", False), ("claimed_until__isnull", False)),
                    _connector="OR",
                ),
                name="contactupload_claim_has_end",
            ),
        ),
        migrations.AddConstraint(
            model_name="contactuploadpart",
            constraint=models.UniqueConstraint(fields=("of", "kind", "number"), name="contactuploadpart_once"),
        ),
        migrations.AddIndex(
            model_name="importedcontact",
            index=models.Index(fields=["contact_ref", "of"], name="importedcontact_contact"),
        ),
        migrations.AddConstraint(
            model_name="importedcontact",
            constraint=models.UniqueConstraint(fields=("of", "contact_ref"), name="importedcontact_once"),
        ),
        migrations.AddIndex(
            model_name="contact",
            index=models.Index(
                condition=models.Q(("tags", []), _negated=True), fields=["tenant", "id"], name="contact_tagged"
            ),
        ),
        AddTenantKeys("ContactUpload"),
        AddTenantKeys("ContactUploadPart", "ImportedContact", unique=False),
        ProtectTenantRows("ContactUpload", "ContactUploadPart", "ImportedContact"),
        migrations.RunPython(tell_people_apart, migrations.RunPython.noop),
    ]
