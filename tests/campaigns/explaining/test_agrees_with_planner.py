"""What explain says and what the planner does are the same thing, over everything that may hold mail."""

from __future__ import annotations

import pytest

from campaigns.pipeline import planner
from tenants.models import Tenant
from tests.campaigns.explaining.situations import HELD, Scene

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]


def planned(scene: Scene) -> int:
    run = planner.run(Tenant.objects.get(pk=scene.tenant.pk), scene.now)
    return run.planned if run else 0


@pytest.mark.parametrize("case", HELD, ids=str)
def test_what_explain_names_first_is_what_the_planner_waits_for(case):
    scene = Scene(**case.scene)
    case.begin(scene)

    found = scene.explained()
    first = found.causes[0]

    assert (first.kind, first.name, first.decides) == (case.kind, case.name, case.count)
    assert (found.waiting, found.ready) == (20, 0)
    assert sum(cause.decides for cause in found.causes) == 20
    assert first.remedy
    if case.at:
        assert first.next_at == case.at
    assert planned(scene) == 0

    case.end(scene)

    found = scene.explained()
    assert (found.waiting, found.ready, found.causes) == (20, 20, [])
    assert planned(scene) == 20
    found = scene.explained()
    assert (found.waiting, found.number("planned")) == (0, 20)
