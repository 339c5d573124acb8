"""Every door by which mail is made or moved, and no way past a suppression behind any of them.

The tables below name all commands, API acts, console acts, pages of campaigns, periodic works and jobs. A door that
is new stands in none of them, so a test fails until somebody has written a probe for it, or why it needs none.
In each probe the entry is there and nobody was told: nothing was pushed, so the gates alone have to hold.
"""

from __future__ import annotations

import argparse
import ast
import itertools
from pathlib import Path

import pytest
from django.contrib import admin
from django.core.management import get_commands, load_command_class

from campaigns import tasks, urls
from campaigns.models import Message
from outreach import cron
from outreach.api import router
from outreach.demo.sink_process import SinkProcess
from tests.campaigns.doors import PROBES, World
from tests.campaigns.doors_without_probes import NEEDLESS

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.as_worker]

ROOT = Path(__file__).resolve().parent.parent.parent
OURS = ("outreach", "tenants", "mailboxes", "campaigns", "deliverability")
NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def sink(tmp_path_factory):
    with SinkProcess(tmp_path_factory.mktemp("sink") / "book.jsonl") as running:
        yield running


@pytest.fixture
def world(sink, tmp_path, settings, empty_queue):
    settings.SMTP_ALLOW_LOOPBACK, settings.RETRY_SCHEDULE, settings.CIRCUIT_FIRST_SECONDS = True, [0], 0
    return World(sink, tmp_path)


# --- All doors there are ---------------------------------------------------------------------------------------


def commands() -> set[str]:
    """Our commands, and the acts of those that have several as sub-commands."""
    found = set()
    for name, app in get_commands().items():
        if not isinstance(app, str) or app.split(".")[0] not in OURS:
            continue
        parser = load_command_class(app, name).create_parser("manage.py", name)
        acts = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
        found |= {f"command {name} {act}" for each in acts for act in each.choices} or {f"command {name}"}
    return found


def api_acts() -> set[str]:
    return {
        f"api {name} {act}"
        for name, viewset, _basename in router.registry
        for route in router.get_routes(viewset)
        for method, act in route.mapping.items()
        if method not in ("get", "head", "options") and hasattr(viewset, act)
    }


def console_acts() -> set[str]:
    """Actions and forms of every page, and the pages of campaigns besides their lists and rows."""
    found = set()
    for model, page in admin.site._registry.items():
        if model._meta.app_label not in OURS:
            continue
        label = model._meta.label
        found |= {f"console {label} {name}" for name in page.actions or () if isinstance(name, str)}
        if getattr(page, "add_form", None):
            found.add(f"console {label} add")
        if model._meta.app_label == "campaigns":
            usual = {f"campaigns_{model._meta.model_name}_{page}" for page in USUAL}
            found |= {f"console {url.name}" for url in page.get_urls() if url.name and url.name not in usual}
    return found


USUAL = ("changelist", "add", "change", "delete", "history")


def works() -> set[str]:
    jobs = {name for name, each in vars(tasks).items() if getattr(each, "__module__", "") == tasks.__name__}
    pages = {each.name for pattern in urls.urlpatterns for each in getattr(pattern, "url_patterns", [pattern])}
    return (
        {f"cron {work.name}" for work in cron.table()}
        | {f"job {name}" for name in jobs}
        | {f"page {name}" for name in pages}
    )


def test_every_door_is_listed_with_a_probe_or_a_reason():
    needless = [door for doors in NEEDLESS.values() for door in doors]
    listed = {*PROBES, *needless} - {"command suppression_list of opt-outs"}
    there = commands() | api_acts() | console_acts() | works()

    assert sorted(there - listed) == [], "write a probe for these, or why they need none"
    assert sorted(listed - there) == [], "these are no more"
    assert len(needless) == len(set(needless)) == len(set(needless) - set(PROBES))


@pytest.mark.parametrize(
    "probe", sorted(set(PROBES.values()), key=lambda each: each.__name__), ids=lambda p: p.__name__
)
def test_no_door_leads_past_a_suppression(probe, world):
    probe(world)

    assert world.run() == {world.bob}
    assert not Message.objects.filter(
        contact__email_key=world.ann, status__in=("planned", "claimed", "committing", "sent", "uncertain", "deferred")
    ).exists()


# --- No parameter ----------------------------------------------------------------------------------------------

SUSPECT = ("bypass", "force", "ignore", "override", "unsuppress", "despite", "even_if", "allow_suppressed", "no_check")


def parameters() -> set[str]:
    """Every parameter of our functions and option of our commands that sounds like a way round."""
    found = set()
    for app in ("campaigns", "mailboxes", "tenants", "deliverability"):
        for path in sorted((ROOT / app).rglob("*.py")):
            if "migrations" in path.parts:
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                names = []
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                    given = node.args
                    names = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
                elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("--"):
                    names = [node.value]
                found |= {f"{path.relative_to(ROOT)}: {name}" for name in names if any(w in name for w in SUSPECT)}
    return found


def test_no_parameter_and_no_option_offers_a_way_round():
    assert parameters() == set()
