from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models

FIRST = models.Q(due_at__isnull=False, mailbox=None)
BOUND = models.Q(due_at__isnull=False, mailbox__isnull=False)


class Migration(migrations.Migration):
    """First steps and follow-ups in indexes of their own: neither is read while the other is looked for."""

    atomic = False
    dependencies = [("campaigns", "0010_people")]
    operations = [
        AddIndexConcurrently(
            "contact",
            models.Index(condition=models.Q(validity="unknown"), fields=["tenant", "id"], name="contact_unknown"),
        ),
        AddIndexConcurrently(
            "enrolment",
            models.Index(condition=FIRST, fields=["campaign", "zone", "due_at"], name="enrolment_first"),
        ),
        AddIndexConcurrently(
            "enrolment",
            models.Index(condition=BOUND, fields=["campaign", "zone", "due_at"], name="enrolment_next"),
        ),
        AddIndexConcurrently(
            "enrolment",
            models.Index(condition=BOUND, fields=["mailbox", "due_at"], name="enrolment_of_mailbox"),
        ),
        RemoveIndexConcurrently("enrolment", "enrolment_demand"),
        RemoveIndexConcurrently("enrolment", "enrolment_bound"),
    ]
