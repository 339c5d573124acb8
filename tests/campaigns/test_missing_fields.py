"""Whoever lacks a field that a template writes out gets no mail: found before the launch, and for each mail again."""

import pytest
from django.db import connection

from campaigns.ledger import lacking
from campaigns.models import Attempt, Contact, Enrolment, Message, Suppression
from campaigns.required_fields import required_fields
from campaigns.services import campaigns
from campaigns.templating import MissingField, compile_step
from mailboxes.models import AllowanceReturn, Mailbox
from outreach.demo.sink_process import SinkProcess
from tenants.services.actors import SYSTEM
from tests import factories
from tests.campaigns.test_sending import work_off


def needs(text, html=""):
    return set(required_fields(compile_step("Hello", text, html)))


@pytest.mark.parametrize(
    ("source", "needed"),
    [
        ("Hi", set()),
        ("Hi {{ a }}, {{ contact.b }} {{ contact['c d'] }}", {"a", "b", "c d"}),
        ('{{ a | default: "x" }} {{ b | default: "" }}', set()),
        ("{{ sender_name }} {{ signature }} {{ postal_address }} {{ unsubscribe_url }}", set()),
        ("{{ a | upcase }} {{ b | upcase | default: 'x' }}", {"a"}),
        ("{{ 'Dear ' | append: a }} {{ b | default: c }} {{ d.size }} {{ e | size }}", {"a", "d"}),
        ("{% if a %}{{ a }}{% endif %}", set()),
        ("{% if a %}{{ a }}{% else %}you{% endif %}", set()),
        ("{% if a %}{{ a }} {{ b }}{% else %}{{ b }}{% endif %}", {"b"}),
        ("{% if a %}{{ b }}{% elsif c %}{{ b }}{% endif %}", set()),
        ("{% unless a %}{{ b }}{% else %}{{ b }} {{ c }}{% endunless %}", {"b"}),
        ("{% case a %}{% when 'x' %}{{ b }}{{ c }}{% when 'y' %}{{ b }}{% else %}{{ b }}{% endcase %}", {"b"}),
        ("{% case a %}{% when 'x' %}{{ b }}{% endcase %}", set()),
        ("{% for i in (1..3) %}{{ a }}{% endfor %}{{ b }}", {"b"}),
        ("{% capture x %}{{ a }}{% endcapture %}{{ x }}", {"a"}),
        ("{% assign x = a %}{{ x }}{{ b }}", {"a", "b"}),
        ("{% assign a = 'x' %}{{ a }}", set()),
        ("{{ a }}{% assign a = 'x' %}{{ a }}", {"a"}),
        ("{% if b %}{% assign a = 'x' %}{% endif %}{{ a }}", set()),
        ("{% comment %}{{ a }}{% endcomment %}{% raw %}{{ a }}{% endraw %}x", set()),
    ],
)
def test_what_a_step_needs_in_any_case_and_no_more(source, needed):
    assert needs(source) == needed
    every = {name: "x" for name in ("a", "b", "c", "d", "e", "c d")}
    compiled = compile_step("Hello", source)
    for name in every:
        without = {key: value for key, value in every.items() if key != name}
        if name in needed:
            with pytest.raises(MissingField):
                compiled.text.render(without)
    assert compiled.text.render({**every, "sender_name": "Jo"})


def test_all_parts_of_a_step_count():
    assert required_fields(compile_step("{{ a }}", "{{ b }}", "{{ c }}")) == {"a", "b", "c"}
    assert required_fields(compile_step("{{ a }}", "", "<p title='{{ x }}'>{{ c }}</p>")) == {"a", "c", "x"}


@pytest.mark.parametrize(
    ("source", "fields", "line", "field"),
    [
        ("Hi\n{{ a }}", {}, 2, "a"),
        ("Hi\n\n{{ contact.a }}", {"a": ""}, 3, "a"),
        ("{% if b %}\n{{ contact['a b'] | upcase }}{% endif %}", {"b": "x"}, 2, "a b"),
        ("{{ b | default: 'x' }}\n{{ b | default: a }}", {}, 2, "a"),
        ("{% assign x = a | split: ',' %}\n{{ x | first }}", {}, 1, "a"),
        ("{% cycle 'x', a %}\n{% cycle 'x', a %}", {}, 2, "a"),
    ],
)
@pytest.mark.parametrize("part", ["text", "html"])
def test_what_is_missing_is_named_with_part_and_line(source, fields, line, field, part):
    compiled = compile_step(
        "Hello", source if part == "text" else "Hi", source if part == "html" else "", step="Step 2"
    )

    with pytest.raises(MissingField) as refusal:
        getattr(compiled, part).render(fields)

    named = {key: refusal.value.details[key] for key in ("field", "part")}
    assert named == {"field": field, "part": part}
    assert str(refusal.value).startswith(f"Step 2, {part}, line {refusal.value.details['line']}: the contact has no")
    if "cycle" not in source and "assign" not in source:
        assert refusal.value.details["line"] == line


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{% if a == 'x' %}x{% else %}y{% endif %}", "y"),
        ("{% if a contains 'x' %}x{% endif %}y", "y"),
        ("{% if a.size > 2 %}x{% endif %}y", "y"),
        ("{% assign n = a | size %}{% if n > 0 %}x{% endif %}y", "y"),
        ("{% for i in a %}x{% endfor %}y", "y"),
        ("{% unless a %}y{% endunless %}", "y"),
        ("{% case a %}{% when 'x' %}x{% else %}y{% endcase %}", "y"),
        ("{{ a | upcase | append: b | default: 'y' }}", "y"),
    ],
)
def test_asking_for_a_field_that_is_missing_holds_up_nobody(source, said):
    assert compile_step("Hello", source).text.render({}) == said


# --- Asked of the database ---------------------------------------------------------------------------------


@pytest.mark.django_db
def test_those_who_lack_a_field_are_counted_by_field_and_found_by_a_condition():
    tenant = factories.tenant()
    listed = factories.contact_list(tenant)
    changes = [
        {"fields": {"city": "Kyiv"}},
        {"first_name": "", "fields": {"city": "Kyiv"}},
        {"first_name": " \u00a0", "fields": {}},
        {"fields": {"city": "", "first_name": "x"}},
    ]
    people = factories.people(tenant, listed, 4, each=changes.__getitem__)
    factories.people(tenant, factories.contact_list(tenant), 3, first_name="")

    assert lacking.counts(listed.pk, {"first_name", "city", "company"}) == {"first_name": 2, "city": 2}
    assert lacking.counts(listed.pk, ()) == {}
    names = ["first_name", "city"]
    lacks, first = lacking.lacks_one_of("%(names)s::text[]"), lacking.first_lacked("%(names)s::text[]")
    query = " ".join(
        ("SELECT ct.id,", lacks, ",", first, "FROM campaigns_contact ct WHERE ct.id = ANY (%(ids)s) ORDER BY ct.id")
    )
    with connection.cursor() as cursor:
        cursor.execute(query, {"names": names, "ids": [person.pk for person in people]})
        found = cursor.fetchall()
        cursor.execute(query, {"names": None, "ids": [people[1].pk]})
        nothing = cursor.fetchall()
    assert [row[1:] for row in found] == [(False, None), (True, "first_name"), (True, "first_name"), (True, "city")]
    assert [row[1:] for row in nothing] == [(False, None)]


@pytest.mark.attack("A23")
@pytest.mark.django_db
def test_the_name_of_a_field_is_a_value_in_every_statement():
    tenant = factories.tenant()
    listed = factories.contact_list(tenant)
    factories.people(tenant, listed, 2)
    name = "a' OR true); DELETE FROM campaigns_contact; --%s"

    assert lacking.counts(listed.pk, {name}) == {name: 2}
    assert Contact.objects.count() == 2


# --- Sent --------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.as_worker
@pytest.mark.parametrize(
    ("text", "line"),
    [("Hello\n{{ first_name }}", 2), ("{% if company %}\n\n{{ first_name | upcase }}{% endif %}", 3)],
)
def test_whoever_lacks_a_field_gets_nothing_and_the_row_says_why(text, line, tmp_path, settings):
    """The row is closed and its reservation comes back; nobody is suppressed, no mailbox stops."""
    settings.SMTP_ALLOW_LOOPBACK = True
    with SinkProcess(tmp_path / "book.jsonl") as sink:
        tenant = factories.tenant()
        listed = factories.contact_list(tenant)
        people = factories.people(tenant, listed, 5, each=lambda i: {"first_name": ["", "  ", "Ann", "", "Bo"][i]})
        boxes = factories.fleet(tenant, 2, host=sink.host, port=sink.port)
        campaign = factories.campaign(
            tenant, boxes[0].pool, listed, text_body=text, html_body="", subject="To {{ company }}"
        )
        campaigns.start(campaign, actor=SYSTEM, accept=["missing_field:first_name"])
        work_off(campaign)
        accepted = sink.read_book().accepted

    assert sorted(entry.recipient for entry in accepted) == [people[2].email, people[4].email]
    lacking_it = [people[0].pk, people[1].pk, people[3].pk]
    closed = Message.objects.filter(contact__in=lacking_it)
    assert set(closed.values_list("status", "reason", "tries")) == {("cancelled", "missing_field", 0)}
    assert set(Enrolment.objects.filter(contact__in=lacking_it).values_list("status", "stop_reason", "due_at")) == {
        ("stopped", "missing_field", None)
    }
    said = (
        f"The step, text, line {line}: the contact has no first_name. Fill it in, or give a default for it: "
        '{{ first_name | default: "..." }}.'
    )
    assert list(Attempt.objects.values_list("phase", "result", "text")) == [("render", "cancelled", said)] * 3
    assert not Suppression.objects.exists()
    assert set(Mailbox.objects.values_list("state", "hold", "failures")) == {("active", "none", 0)}
    returned = AllowanceReturn.objects.filter(scope="campaign_day").values_list("count", flat=True)
    assert sum(returned) == 3
