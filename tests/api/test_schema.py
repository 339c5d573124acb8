"""The description of the API is valid, complete, and can be read in a browser under our policy."""

from __future__ import annotations

import re

import pytest
import yaml
from django.contrib.staticfiles import finders
from django.core.management import call_command

from outreach import api as outreach_api


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    """As `manage.py spectacular` writes it; a warning is an error."""
    file = tmp_path_factory.mktemp("schema") / "schema.yml"
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(file))
    return yaml.safe_load(file.read_text())


def test_every_route_is_described(schema):
    names = {path.split("/")[3] for path in schema["paths"]}
    assert names == {name for name, _viewset, _basename in outreach_api.router.registry}
    for act in ("start", "pause", "resume", "cancel"):
        assert f"/api/v1/campaigns/{{id}}/{act}/" in schema["paths"]


def test_every_operation_takes_a_key_and_may_answer_with_a_problem(schema):
    assert schema["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for path in schema["paths"].values():
        for operation in path.values():
            assert operation["security"] == [{"key": []}]
            assert list(operation["responses"]["default"]["content"]) == ["application/problem+json"]


def test_an_act_answers_with_the_campaign_or_with_its_state_alone(schema):
    answer = schema["paths"]["/api/v1/campaigns/{id}/pause/"]["post"]["responses"]["200"]["content"]
    shape = schema["components"]["schemas"][answer["application/json"]["schema"]["$ref"].rpartition("/")[2]]

    assert [each["$ref"].rpartition("/")[2] for each in shape["oneOf"]] == ["CampaignOutput", "CampaignState"]
    assert set(schema["components"]["schemas"]["CampaignState"]["properties"]) == {"id", "status"}


def test_parameters_of_lists_are_described(schema):
    names = {parameter["name"] for parameter in schema["paths"]["/api/v1/messages/"]["get"]["parameters"]}
    assert names == {
        *("cursor", "page_size", "ordering", "campaign", "contact", "enrolment", "mailbox", "batch", "status"),
        *("message_id", "sent_since", "sent_before", "outcome"),
    }


def test_the_schema_is_served_to_everybody(client, db):
    answer = client.get("/api/v1/schema/")
    assert answer.status_code == 200
    assert yaml.safe_load(answer.content)["info"]["title"] == "Outreach console"


def test_the_page_runs_no_inline_script_and_loads_nothing_from_elsewhere(client, db):
    page = client.get("/api/v1/docs/")
    html = page.content.decode()
    policy = dict(part.strip().split(" ", 1) for part in page.headers["Content-Security-Policy"].split(";"))

    assert policy["script-src"] == "'self'"
    assert re.findall(r"<script(?![^>]*\bsrc=)|\son\w+=|javascript:", html) == []
    sources = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert len(sources) == 5
    assert [source for source in sources if not source.startswith("/")] == []
    for source in sources:
        if source.startswith("/static/"):
            assert finders.find(source.removeprefix("/static/")), source
        else:
            script = client.get(source)
            assert script.headers["Content-Type"].startswith("application/javascript")
            assert "/api/v1/schema/" in script.content.decode()
