"""How often one may ask, and that Redis is no condition for asking."""

from __future__ import annotations

import pytest
import time_machine
from django.core.cache import caches

from outreach import logs
from outreach.common import counting
from tenants.api import limits
from tenants.models import ApiKey
from tenants.services import api_keys
from tenants.services.actors import SYSTEM
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


def test_what_a_key_may_not_do_counts_as_well(ours, settings):
    settings.API_KEY_PER_MINUTE = 3
    looking = Api(key_of(ours.tenant, "campaigns.view"))
    place = f"campaigns/{ours.campaign.pk}/pause/"

    assert [looking.post(place).status_code for _ in range(4)] == [403, 403, 403, 429]
    is_problem(looking.get("campaigns/"), 429, "throttled")


@pytest.mark.parametrize("key", ["", "ok_abcdefgh", "ok_" + "a" * 12 + "_" + "b" * 43])
def test_an_address_without_a_valid_key_has_a_limit(ours, settings, key):
    settings.API_ADDRESS_PER_MINUTE = 3
    stranger = Api(key)

    assert [stranger.get("campaigns/").status_code for _ in range(4)] == [401, 401, 401, 429]
    refused = stranger.post(f"campaigns/{ours.campaign.pk}/pause/")
    is_problem(refused, 429, "throttled")
    assert refused.headers["Retry-After"] == "20"
    assert Api(key).client.get("/api/v1/campaigns/", REMOTE_ADDR="192.0.2.7").status_code == 401


def test_a_valid_key_from_an_address_beyond_its_limit_is_not_held_up(ours, settings):
    settings.API_ADDRESS_PER_MINUTE = 2
    assert [Api().get("campaigns/").status_code for _ in range(3)] == [401, 401, 429]

    api = Api(key_of(ours.tenant))
    assert [api.get("campaigns/").status_code for _ in range(4)] == [200] * 4
    with time_machine.travel("2026-11-24 10:01:00Z", tick=False):
        assert Api().get("campaigns/").status_code == 401


def test_a_revoked_key_counts_for_its_address_and_not_for_its_tenant(ours, settings):
    settings.API_ADDRESS_PER_MINUTE, settings.API_TENANT_PER_MINUTE = 1, 1
    text = key_of(ours.tenant)
    api_keys.revoke(ApiKey.objects.get(prefix=text.split("_")[1]), actor=SYSTEM)

    assert [Api(text).get("campaigns/").status_code for _ in range(2)] == [401, 429]
    assert Api(key_of(ours.tenant)).get("campaigns/").status_code == 200


def test_the_description_has_the_limit_of_strangers(ours, settings):
    settings.API_ADDRESS_PER_MINUTE = 2

    assert [Api().get("schema/").status_code for _ in range(2)] == [200, 200]
    refused = Api().get("schema/")
    is_problem(refused, 429, "throttled")
    assert refused.headers["Retry-After"] == "20"
    is_problem(Api().get("campaigns/"), 429, "throttled")


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "nowhere"),
        ("10.0.0.1\r\nSET x", "nowhere"),
    ],
)
def test_one_caller_is_one_address_or_a_64_of_ipv6(address, counted):
    assert limits.neighbourhood(address) == counted


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
