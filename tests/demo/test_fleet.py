"""The made-up world: sizes, shares, and files that the imports take."""

from __future__ import annotations

import csv
import stat
from collections import Counter
from datetime import date

import pytest
import yaml

from campaigns import bases, templating
from campaigns.services import specs
from outreach.common import addresses
from outreach.demo import fleet

TODAY = date(2027, 3, 1)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fleet")
    return fleet.write(folder, mailboxes=1200, contacts=10_000, port=2525, today=TODAY)


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_fleet_has_1200_mailboxes_over_three_tenants_and_60_domains(files):
    per_tenant = [read(files.mailboxes(company)) for company in fleet.COMPANIES]
    boxes = [box for rows in per_tenant for box in rows]

    assert len(per_tenant) == 3
    assert len({box["address"] for box in boxes}) == len(boxes) == 1200
    assert len({box["address"].partition("@")[2] for box in boxes}) >= 60
    assert 0 < sum(box["reserve"] == "yes" for box in boxes) <= 60
    assert {box["min_gap_seconds"] for box in boxes} == {"1"}
    assert min(int(box["daily_cap"]) for box in boxes) >= 40


def test_no_mail_of_the_demo_could_reach_anybody(files):
    rows = [row for company in fleet.COMPANIES for row in read(files.mailboxes(company))]
    people = [row for c in fleet.COMPANIES for pool in c.pools for row in read(files.contacts(c, pool))]

    assert {row["smtp_host"] for row in rows} == {"127.0.0.1"}
    assert {row["address"].rpartition(".")[2] for row in rows} == {"example"}
    assert {row["email"].rpartition(".")[2] for row in people} == {"example"}
    assert all(addresses.parse(row["email"]).key == row["email"] for row in people)


def test_the_contacts_are_10000_different_people_in_many_zones_with_provenance(files):
    people = [row for c in fleet.COMPANIES for pool in c.pools for row in read(files.contacts(c, pool))]

    assert len({row["email"] for row in people}) == len(people) == 10_000
    assert len({row["time_zone"] for row in people}) >= 10
    assert len({row["country"] for row in people}) >= 10
    assert all(row["source"] and row["lawful_basis"] and row["basis_evidence"] for row in people)
    assert max(row["basis_date"] for row in people) < TODAY.isoformat()
    assert Counter(row["lawful_basis"] for row in people if row["country"] == "DE").keys() == {"consent"}


def test_every_contact_is_on_a_list_that_a_campaign_names(files):
    for company in fleet.COMPANIES:
        for pool in company.pools:
            text = (fleet.CAMPAIGNS / pool.file).read_text()
            plan = specs.read(yaml.safe_load(text))
            names = (plan.campaign["name"], plan.pool, plan.contact_list)
            assert names == (pool.campaign, pool.name, pool.contact_list)
            assert plan.campaign["window_from"] == plan.campaign["window_until"]
            for step in plan.steps:
                parts = (step.values["subject"], step.values["text_body"], step.values["html_body"])
                templating.compile_step(*parts, free_fields={"industry", "city"}, is_first=True)


def test_parts_are_proportional_and_add_up():
    for total in (6, 7, 100, 1199, 1200, 10_000):
        parts = fleet.split(total)
        assert sum(parts.values()) == total
        assert max(parts.values()) - min(parts.values()) <= total * 80 / 1200 + 1


def test_the_same_start_gives_the_same_files_which_only_the_owner_reads(files, tmp_path):
    again = fleet.write(tmp_path, mailboxes=1200, contacts=10_000, port=2525, today=TODAY)

    for path in files.folder.iterdir():
        assert (again.folder / path.name).read_bytes() == path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_every_contact_may_be_written_to_by_its_country_the_contract_and_the_host(files):
    for company in fleet.COMPANIES:
        agreed = yaml.safe_load(company.record.read_text())
        for pool in company.pools:
            for row in read(files.contacts(company, pool)):
                since = date.fromisoformat(row["basis_date"])
                until = date.fromisoformat(row["basis_expires_on"] or "9999-01-01")
                found = bases.verdict(
                    row["country"], row["person_kind"], row["lawful_basis"], row["basis_terms"].split(), since, until,
                    TODAY, evidence=bool(row["basis_evidence"]),
                )  # fmt: skip
                assert isinstance(found, bases.Allowed), row
                assert row["country"] in agreed["allowed_countries"]
                assert row["lawful_basis"] in agreed["allowed_bases"]
                assert row["lawful_basis"] in fleet.ALLOWED_BASES
