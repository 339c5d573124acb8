from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

NAME, TABLE = "attempt_tenant_page", "campaigns_attempt"
WHOLE = f"CREATE INDEX IF NOT EXISTS {NAME} ON ONLY {TABLE} (tenant_id, id)"
MISSING = """
SELECT part.oid::regclass::text, part.relname
FROM pg_inherits i JOIN pg_class part ON part.oid = i.inhrelid
WHERE i.inhparent = %s::regclass AND NOT EXISTS (
    SELECT FROM pg_inherits below JOIN pg_index x ON x.indexrelid = below.inhrelid
    WHERE below.inhparent = %s::regclass AND x.indrelid = part.oid
) ORDER BY 1"""


def index_attempts(apps: Any, schema_editor: Any) -> None:
    """Partition by partition, none of them closed to writers; may be begun again after a failure.

    CREATE INDEX CONCURRENTLY takes no partitioned table. So the parent's index begins as an empty shell, which
    becomes valid with the last partition attached; a month that is made meanwhile brings its own.
    """
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        cursor.execute(WHOLE)
        cursor.execute(MISSING, [TABLE, NAME])
        for table, name in cursor.fetchall():
            index = f"{name}_tenant_page"
            cursor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index}")  # half made by a run that failed
            cursor.execute(f"CREATE INDEX CONCURRENTLY {index} ON {table} (tenant_id, id)")
            cursor.execute(f"ALTER INDEX {NAME} ATTACH PARTITION {index}")


def drop(apps: Any, schema_editor: Any) -> None:
    schema_editor.execute(f"DROP INDEX IF EXISTS {NAME}")


class Migration(migrations.Migration):
    """What one tenant's page of messages or attempts costs must not grow with what the others have."""

    atomic = False
    dependencies = [("campaigns", "0003_row_security")]
    operations = [
        AddIndexConcurrently("message", models.Index(fields=["tenant", "id"], name="message_tenant_page")),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(index_attempts, drop)],
            state_operations=[
                migrations.AddIndex("attempt", models.Index(fields=["tenant", "id"], name=NAME)),
            ],
        ),
    ]
