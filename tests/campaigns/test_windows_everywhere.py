"""Windows in every zone there is, over the days on which clocks change: nothing outside, nothing twice, nobody lost."""

from __future__ import annotations

import struct
import zoneinfo
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest

from campaigns import calendars
from campaigns.models import Campaign, Enrolment, Message
from campaigns.pipeline import planner, windows
from campaigns.pipeline.windows import Window
from campaigns.services import campaigns
from tenants.models import Tenant, TenantRecord
from tenants.services.actors import SYSTEM
from tests import factories

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
EVERY_DAY = frozenset(range(7))
SINCE, UNTIL = datetime(2026, 12, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
WINDOWS = (
    Window(time(9), time(17), EVERY_DAY),
    Window(time(2, 15), time(2, 45), EVERY_DAY),
    Window(time(1, 30), time(3, 30), EVERY_DAY),
    Window(time(23, 30), time(0, 30), EVERY_DAY),
    Window(time(22), time(6), EVERY_DAY),
    Window(time(0), time(0), EVERY_DAY),
)
# Half hours, a double hour, changes at midnight, backwards in winter, over the date line, and zones that never change.
HARD = (
    *("Europe/Berlin", "Europe/Dublin", "Australia/Lord_Howe", "Antarctica/Troll", "America/St_Johns"),
    *("America/Santiago", "America/Havana", "Africa/Cairo", "Africa/Casablanca", "Asia/Beirut"),
    *("Pacific/Chatham", "Pacific/Apia", "Pacific/Kiritimati", "Asia/Kathmandu", "America/Nuuk"),
)
DAYS = (date(2027, 3, 28), date(2027, 4, 4), date(2027, 10, 31))  # changes of clocks in 2027, west and south too


@cache
def changes(zone: str) -> tuple[datetime, ...]:
    """The instants of 2027 at which clocks there change; for zones that keep their clock one of any day."""
    clock, found = ZoneInfo(zone), []
    moment = SINCE
    while moment < UNTIL:
        after = moment + DAY
        if moment.astimezone(clock).utcoffset() != after.astimezone(clock).utcoffset():
            low, high = moment, after
            while high - low > timedelta(seconds=1):
                middle = low + (high - low) // 2
                same = middle.astimezone(clock).utcoffset() == moment.astimezone(clock).utcoffset()
                low, high = (middle, high) if same else (low, middle)
            found.append(high.replace(microsecond=0))
        moment = after
    return tuple(found) or (datetime(2027, 3, 28, 1, tzinfo=UTC),)


def is_within(window: Window, clock: ZoneInfo, moment: datetime) -> bool:
    """By the wall clock alone; of an hour that comes twice both, since a window that began in it goes on."""
    local = moment.astimezone(clock)
    readings = [local.time()]
    if local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset():
        shift = local.replace(fold=0).utcoffset() - local.replace(fold=1).utcoffset()
        readings += [(local + shift).time(), (local - shift).time()]
    if window.opens == window.closes:
        return True
    if window.opens < window.closes:
        return any(window.opens <= reading < window.closes for reading in readings)
    return any(reading >= window.opens or reading < window.closes for reading in readings)


def opened(window: Window, clock: ZoneInfo, since: datetime, until: datetime) -> list[tuple[datetime, datetime]]:
    """Every time it opens and closes between the two, found as the planner finds it: by asking again and again."""
    found, moment = [], since
    while moment < until:
        opening = windows.opening(window, clock, moment)
        if opening.is_open:
            found.append((opening.opens_at, opening.closes_at))
            moment = opening.closes_at
        else:
            assert opening.next_opens_at > moment, (window, clock, moment)
            assert windows.opening(window, clock, opening.next_opens_at).is_open, (window, clock, moment)
            moment = opening.next_opens_at
    return found


def day_it_belongs_to(window: Window, clock: ZoneInfo, opens_at: datetime) -> date:
    """Nuuk's clocks jump from 23:00 to midnight: what was to open at 23:30 opens then, and is of the day before."""
    local = opens_at.astimezone(clock)
    return local.date() - DAY if local.time() < window.opens else local.date()


@pytest.mark.fault("F23")
@pytest.mark.parametrize("window", WINDOWS, ids=lambda window: f"{window.opens:%H%M}-{window.closes:%H%M}")
def test_in_every_zone_a_window_opens_once_a_day_also_when_clocks_change(window):
    for zone in sorted(zoneinfo.available_timezones()):
        clock = ZoneInfo(zone)
        for change in changes(zone):
            times = opened(window, clock, change - 2 * DAY, change + 3 * DAY)

            assert all(first[1] <= later[0] for first, later in zip(times, times[1:], strict=False)), zone
            per_day = Counter(day_it_belongs_to(window, clock, opens_at) for opens_at, _ in times)
            first, last = min(per_day), max(per_day)
            days = {first + n * DAY for n in range((last - first).days + 1)}
            skipped = {day for day in days if windows.span(window, clock, day) is None}
            assert set(per_day.values()) == {1}, (zone, change)  # none twice
            assert set(per_day) == days - skipped, (zone, change)  # none forgotten
            for day in skipped:  # only where the clock shows not one moment of the window
                begins, ends = windows.instant(day, time(0), clock), windows.instant(day + DAY, time(0), clock)
                shown = [begins + n * timedelta(minutes=5) for n in range(int((ends - begins) / timedelta(minutes=5)))]
                assert not any(is_within(window, clock, moment) for moment in shown), (zone, day)


@pytest.mark.fault("F23")
@pytest.mark.parametrize("window", WINDOWS, ids=lambda window: f"{window.opens:%H%M}-{window.closes:%H%M}")
def test_in_every_zone_a_window_is_open_only_within_its_hours(window):
    for zone in sorted(zoneinfo.available_timezones()):
        clock = ZoneInfo(zone)
        for change in changes(zone):
            for opens_at, closes_at in opened(window, clock, change - DAY, change + DAY):
                step = max((closes_at - opens_at) / 12, timedelta(minutes=1))
                moment = opens_at
                while moment < closes_at:
                    assert is_within(window, clock, moment), (zone, moment)
                    moment += step
                assert is_within(window, clock, closes_at - timedelta(seconds=1)), (zone, closes_at)


# --- The planner itself -----------------------------------------------------------------------------------


def ticks(campaign: Campaign, since: datetime, until: datetime, step: timedelta = HOUR) -> None:
    """Plan again and again; what is planned goes out at once, at its time."""
    tenant, moment = Tenant.objects.get(pk=campaign.tenant_id), since
    while moment < until:
        planner.run(tenant, moment)
        for message in Message.objects.filter(campaign=campaign, status="planned"):
            Message.objects.filter(pk=message.pk).update(status="sent", sent_at=message.due_at)
        moment += step


def started(zones, people=3, **changes) -> Campaign:
    """A running campaign with that many people in each zone, open from two to four in the night."""
    tenant = factories.tenant(**changes.pop("tenant", {}))
    boxes = factories.fleet(tenant, 4)
    listed = factories.contact_list(tenant)
    for zone in zones:
        factories.people(tenant, listed, people, time_zone=zone)
    fields = {"window_zone": "contact", "window_from": "02:00", "window_until": "04:00"}
    return campaigns.start(factories.campaign(tenant, boxes[0].pool, listed, **fields | changes), actor=SYSTEM)


@pytest.mark.fault("F23")
@pytest.mark.django_db
@pytest.mark.as_worker
@pytest.mark.parametrize("day", DAYS, ids=str)
def test_everybody_gets_one_mail_within_the_window_while_clocks_change(day):
    campaign = started(HARD)
    midnight = datetime.combine(day, time(), UTC)

    ticks(campaign, midnight - DAY, midnight + 2 * DAY)

    sent = Counter(Message.objects.values_list("contact", flat=True))
    assert (len(sent), set(sent.values())) == (3 * len(HARD), {1})
    for message in Message.objects.select_related("enrolment"):
        local = message.sent_at.astimezone(ZoneInfo(message.enrolment.zone))
        assert time(2) <= local.time() < time(4), (message.enrolment.zone, local)


@pytest.mark.fault("F23")
@pytest.mark.django_db
@pytest.mark.as_worker
@pytest.mark.parametrize(("day", "hours"), [(date(2027, 3, 28), 23), (date(2027, 10, 31), 25)])
def test_a_daily_cap_holds_for_the_days_own_hours(day, hours):
    campaign = started(
        ["Europe/Berlin"], 40, tenant={"time_zone": "Europe/Berlin"}, daily_cap=7, window_from="00:00",
        window_until="00:00",
    )  # fmt: skip
    clock = ZoneInfo("Europe/Berlin")
    begins, ends = windows.instant(day, time(0), clock), windows.instant(day + DAY, time(0), clock)

    ticks(campaign, begins - DAY, ends + DAY)

    assert ends - begins == hours * HOUR
    per_day = Counter(at.astimezone(clock).date() for at in Message.objects.values_list("sent_at", flat=True))
    assert per_day == {day - DAY: 7, day: 7, day + DAY: 7}


@pytest.mark.django_db
@pytest.mark.as_worker
def test_nobody_is_written_to_on_a_holiday_of_the_own_country():
    """Germans, Austrians and Ukrainians: the 25th and 26th of December close the first two, and never the third."""
    tenant = factories.tenant()
    boxes = factories.fleet(tenant, 4)
    listed = factories.contact_list(tenant)
    for country in ("DE", "AT", "UA"):
        factories.people(tenant, listed, 2, country=country, collected_directly=True)
    TenantRecord.objects.filter(tenant=tenant).update(allowed_countries=["DE", "AT", "UA"])
    campaign = factories.campaign(
        tenant, boxes[0].pool, listed, holidays=True, window_zone="contact", window_from="09:00", window_until="17:00",
        daily_cap=2,
    )  # fmt: skip
    campaigns.start(campaign, actor=SYSTEM)

    assert Campaign.objects.get(pk=campaign.pk).zones == ["Europe/Berlin DE", "Europe/Kyiv UA", "Europe/Vienna AT"]
    ticks(campaign, datetime(2027, 12, 25, tzinfo=UTC), datetime(2027, 12, 29, tzinfo=UTC))

    days = Message.objects.values_list("contact__country", "sent_at__date").order_by("sent_at__date")
    assert Counter(country for country, _ in days) == {"DE": 2, "AT": 2, "UA": 2}
    assert {country for country, on in days if on == date(2027, 12, 25)} == {"UA"}
    assert {on for country, on in days if country != "UA"} == {date(2027, 12, 27), date(2027, 12, 28)}


# --- Another zone database -------------------------------------------------------------------------------


def write_zone(folder, hours: int) -> None:
    """A zone of one offset, as zic would write it (RFC 9636, version 2)."""
    name = f"<+{hours:02}>".encode()
    block = struct.pack(">6l", 0, 0, 0, 0, 1, 4) + struct.pack(">lbb", hours * 3600, 0, 0) + f"+{hours:02}\0".encode()
    header = b"TZif2" + bytes(15)
    (folder / "Test").mkdir(exist_ok=True)
    (folder / "Test" / "Zone").write_bytes(header + block + header + block + b"\n" + name + f"-{hours}\n".encode())


@pytest.fixture
def zone_database(tmp_path):
    """Puts a zone Test/Zone of so many hours into the database that Python asks, as an update of tzdata would."""
    path = zoneinfo.TZPATH

    def publish(hours: int) -> None:
        write_zone(tmp_path, hours)
        zoneinfo.reset_tzpath([str(tmp_path), *path])
        ZoneInfo.clear_cache()
        calendars.parse.cache_clear()

    yield publish
    zoneinfo.reset_tzpath(path)
    ZoneInfo.clear_cache()
    calendars.parse.cache_clear()


@pytest.mark.fault("F23")
@pytest.mark.django_db
@pytest.mark.as_worker
def test_a_change_of_the_zone_database_sends_nothing_again_and_forgets_nobody(zone_database):
    zone_database(3)
    campaign = started(["UTC"], 6, daily_cap=4)
    Enrolment.objects.update(zone="Test/Zone")
    Campaign.objects.update(zones=["Test/Zone"], window_from="09:00", window_until="10:00")
    morning = datetime(2027, 5, 4, 6, tzinfo=UTC)  # nine o'clock there

    ticks(campaign, morning, morning + HOUR)
    first = set(Message.objects.values_list("pk", flat=True))
    zone_database(2)  # nine o'clock comes once more
    Campaign.objects.update(daily_cap=5)
    ticks(campaign, morning + HOUR, morning + 2 * HOUR)

    assert len(first) == 4
    assert Counter(Message.objects.values_list("enrolment", flat=True)).most_common(1)[0][1] == 1
    assert [at.hour for at in Message.objects.exclude(pk__in=first).values_list("sent_at", flat=True)] == [7]
    ticks(campaign, morning + DAY, morning + DAY + 2 * HOUR)
    assert Counter(Message.objects.values_list("status", flat=True)) == {"sent": 6}


@pytest.mark.fault("F23")
@pytest.mark.django_db
@pytest.mark.as_worker
def test_what_was_planned_by_the_old_zone_database_is_planned_anew_once(zone_database):
    zone_database(3)
    campaign = started(["UTC"], 3)
    Enrolment.objects.update(zone="Test/Zone")
    Campaign.objects.update(zones=["Test/Zone"], window_from="09:00", window_until="10:00")
    tenant = Tenant.objects.get(pk=campaign.tenant_id)
    planner.run(tenant, datetime(2027, 5, 4, 6, 50, tzinfo=UTC))
    assert Message.objects.filter(not_after=datetime(2027, 5, 4, 7, tzinfo=UTC)).count() == 3

    zone_database(2)
    run = planner.run(tenant, datetime(2027, 5, 4, 7, 10, tzinfo=UTC))

    assert (run.taken_back, run.planned) == (3, 3)
    assert set(Message.objects.values_list("not_after", flat=True)) == {datetime(2027, 5, 4, 8, tzinfo=UTC)}
    assert Message.objects.count() == 3
