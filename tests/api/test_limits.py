"""How often one may ask, and that Redis is no condition for asking."""

from __future__ import annotations

import pytest
import time_machine
from django.core.cache import caches

from outreach import logs
from outreach.common import counting
from tests.api.conftest import Api, is_problem, key_of


@pytest.fixture(autouse=True)
def _one_minute(empty_queue):
    """The clock stands 20 seconds before the window's end."""
    with time_machine.travel("2026-11-24 10:00:40Z", tick=False):
        yield


@pytest.fixture
def no_redis(settings, tmp_path):
    """Counters that nobody keeps."""
    broken = {"LOCATION": f"unix://{tmp_path}/nobody.sock?db=0"}
    settings.CACHES = {**settings.CACHES, "counters": {**settings.CACHES["counters"], **broken}}
    yield
    caches.close_all()


@pytest.mark.attack("A33")
def test_a_key_has_its_own_limit(ours, settings):
    settings.API_KEY_PER_MINUTE = 3
    busy, quiet = Api(key_of(ours.tenant)), Api(key_of(ours.tenant))

    assert [busy.get("campaigns/").status_code for _ in range(4)] == [200, 200, 200, 429]
    refused = busy.post(f"campaigns/{ours.campaign.pk}/pause/")
    is_problem(refused, 429, "throttled")
    assert refused.headers["Retry-After"] == "20"
    ours.campaign.refresh_from_db()
    assert ours.campaign.status == "running"
    assert quiet.get("campaigns/").status_code == 200


def test_the_keys_of_a_tenant_share_a_limit_and_others_do_not_feel_it(ours, theirs, settings):
    settings.API_TENANT_PER_MINUTE = 3
    first, second, stranger = (Api(key_of(world.tenant)) for world in (ours, ours, theirs))

    assert [each.get("campaigns/").status_code for each in (first, second, first)] == [200, 200, 200]
    is_problem(second.get("campaigns/"), 429, "throttled")
    assert stranger.get("campaigns/").status_code == 200


def test_a_key_beyond_its_limit_takes_nothing_from_its_tenants(ours, settings):
    settings.API_KEY_PER_MINUTE, settings.API_TENANT_PER_MINUTE = 2, 4
    busy, quiet = Api(key_of(ours.tenant)), Api(key_of(ours.tenant))

    assert [busy.get("campaigns/").status_code for _ in range(6)][-1] == 429
    assert [quiet.get("campaigns/").status_code for _ in range(3)] == [200, 200, 429]


def test_the_next_minute_begins_anew(ours, settings):
    settings.API_KEY_PER_MINUTE = 1
    api = Api(key_of(ours.tenant))

    assert [api.get("campaigns/").status_code for _ in range(2)] == [200, 429]
    with time_machine.travel("2026-11-24 10:01:00Z", tick=False):
        assert api.get("campaigns/").status_code == 200


def test_counters_leave_by_themselves(ours, empty_queue):
    Api(key_of(ours.tenant)).get("campaigns/")
    left = {name.decode(): empty_queue.ttl(name) for name in empty_queue.keys("outreach:*")}
    assert len(left) == 2
    assert all(0 < seconds <= 120 for seconds in left.values())


@pytest.mark.usefixtures("no_redis")
def test_without_redis_requests_go_on_with_one_line_in_the_log(ours, settings, capsys):
    settings.API_KEY_PER_MINUTE = 1
    api = Api(key_of(ours.tenant))
    logs.configure({"level": "WARNING"})
    counting.forget()

    assert [api.get("campaigns/").status_code for _ in range(5)] == [200] * 5

    assert capsys.readouterr().err.count("counting.without_redis") == 1
