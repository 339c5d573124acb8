"""The description of a campaign: a flat mapping as YAML or JSON gives it, checked key by key.

name: Autumn offer
pool: sales
list: customers
subject: "Hello {{ first_name }}"        # one step; or `steps:` with a list of such blocks
text: |
  ...
html: |
  ...
window: {from: "09:00", until: "17:00", days: [mon, tue, wed, thu, fri], zone: contact, holidays: closed}
                                         # holidays: closed on those of the contact's country, or open
pace: even                               # or prompt
batch_size: 100
daily_cap: 2000
total_cap: 50000                         # messages in all, follow-ups included
handover: wait                           # or new_thread, stop: of threads whose mailbox is taken out of use
canary: {size: 50, hours: 24}            # or no: everybody at once, imports never mailed before too
balancing_test: Why our interest outweighs theirs, where the basis is a legitimate interest.
stop_on_colleague: false                 # an answer from the same company ends the sequence too
click_tracking: false                    # links of the html lead through the tracking host and are noted
doubt: stop                              # or go_on: when nobody knows for 72 hours whether a mail went out

A block of `steps` has subject, text, html, and from the second on when it follows the one before: delay_hours, and
delay_days that count working days. Instead of one wording it may have `variants`, a list of blocks with label,
subject, text, html; each goes to an equal share of the people.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from typing import Any
from zoneinfo import available_timezones

from outreach.common import yaml_files
from outreach.common.errors import BadInput

HANDOVERS = ("wait", "new_thread", "stop")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
KEYS = frozenset(
    {"name", "pool", "list", "subject", "text", "html", "steps", "window", "pace", "batch_size", "daily_cap"}
    | {"total_cap", "handover", "canary", "balancing_test", "stop_on_colleague", "doubt", "click_tracking"}
)
CANARY_KEYS = frozenset({"size", "hours"})
MOST_CANARY = 10_000
STEP_KEYS = frozenset({"subject", "text", "html", "delay_hours", "delay_days", "variants"})
VARIANT_KEYS = frozenset({"label", "subject", "text", "html"})
DOUBTS = ("stop", "go_on")
MAX_VARIANTS = 10
WINDOW_KEYS = frozenset({"from", "until", "days", "zone", "holidays"})
HOLIDAYS = {"closed": True, "open": False}
MAX_BODY_CHARS = 200_000
MAX_STEPS = 20
MOST = 2_000_000_000


@dataclass(frozen=True, slots=True)
class StepPlan:
    """Field values of a step, and of its variants where it has some; its own wording is the first one's then."""

    values: dict[str, Any]
    variants: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Plan:
    """Field values of the campaign and its steps, and the names of what they refer to."""

    campaign: dict[str, Any]
    pool: str
    contact_list: str
    steps: list[StepPlan]


def read(spec: Any) -> Plan:
    """Check a description; raise BadInput with the place and the remedy."""
    if not isinstance(spec, Mapping):
        raise BadInput("A campaign is a mapping of keys such as name, pool, list, subject, text.")
    _known(spec, KEYS, "")
    values: dict[str, Any] = {"name": name_of(spec.get("name", ""))}
    if "pace" in spec:
        if spec["pace"] not in ("even", "prompt"):
            raise BadInput(f"pace: {spec['pace']!r} is neither even nor prompt.", field="pace")
        values["pace"] = spec["pace"]
    if "batch_size" in spec:
        values["batch_size"] = _number(spec, "batch_size", 50, 200)
    for cap in ("daily_cap", "total_cap"):
        if spec.get(cap) is not None:
            values[cap] = _number(spec, cap, 0, MOST)
    if "handover" in spec:
        if spec["handover"] not in HANDOVERS:
            raise BadInput(f"handover: {spec['handover']!r} is none of {', '.join(HANDOVERS)}.", field="handover")
        values["handover"] = spec["handover"]
    if "canary" in spec:
        values |= _canary(spec["canary"])
    if "balancing_test" in spec:
        values["balancing_test"] = _text(spec, "balancing_test", "", MAX_BODY_CHARS)
    if "doubt" in spec:
        if spec["doubt"] not in DOUBTS:
            raise BadInput(f"doubt: {spec['doubt']!r} is none of {', '.join(DOUBTS)}.", field="doubt")
        values["doubt"] = spec["doubt"]
    for key in ("stop_on_colleague", "click_tracking"):
        if key in spec:
            if not isinstance(spec[key], bool):
                raise BadInput(f"{key}: write true or false.", field=key)
            values[key] = spec[key]
    values |= _window(spec.get("window", {}))
    return Plan(values, _text(spec, "pool", "", 100), _text(spec, "list", "", 200), _steps(spec))


def name_of(given: Any) -> str:
    """A campaign's name as it may stand. Raises BadInput."""
    name = _text({"name": given}, "name", "", 200)
    if not name:
        raise BadInput("name: a campaign needs a name.", field="name")
    return name


def _canary(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"canary": value}
    if not isinstance(value, Mapping):
        raise BadInput("canary: no, or a block with size and hours.", field="canary")
    _known(value, CANARY_KEYS, "canary.")
    found: dict[str, Any] = {"canary": True}
    if "size" in value:
        found["canary_size"] = _number(value, "size", 1, MOST_CANARY, "canary.")
    if "hours" in value:
        found["canary_hours"] = _number(value, "hours", 0, 24 * 30, "canary.")
    return found


def _known(mapping: Mapping[Any, Any], keys: frozenset[str], place: str) -> None:
    for key in mapping:
        if key not in keys:
            raise BadInput(f"{place}{key}: no such key; there is {', '.join(sorted(keys))}.", field=str(key))


def _text(mapping: Mapping[str, Any], key: str, place: str, most: int) -> str:
    value = mapping.get(key, "")
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadInput(f"{place}{key}: write it as text, in quotes if need be.", field=key)
    if len(value) > most:
        raise BadInput(f"{place}{key}: {len(value)} characters, and at most {most} fit.", field=key)
    if not yaml_files.storable(value):
        raise BadInput(f"{place}{key}: holds a NUL character or half of a surrogate pair.", field=key)
    return value if key in ("text", "html") else value.strip()


def _number(mapping: Mapping[str, Any], key: str, low: int, high: int, place: str = "") -> int:
    value = mapping[key]
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise BadInput(f"{place}{key}: {value!r} is not a whole number from {low} to {high}.", field=key)
    return value


def _steps(spec: Mapping[str, Any]) -> list[StepPlan]:
    single = {key: spec[key] for key in ("subject", "text", "html") if key in spec}
    if "steps" in spec and single:
        raise BadInput("steps: write the subject and text either at the top or under steps, not both.", field="steps")
    blocks = spec.get("steps", [single] if single else [])
    if not isinstance(blocks, list) or len(blocks) > MAX_STEPS:
        raise BadInput(f"steps: a list of at most {MAX_STEPS} blocks with subject and text.", field="steps")
    return [read_step(block, number) for number, block in enumerate(blocks, start=1)]


def read_step(block: Any, number: int) -> StepPlan:
    """Check the block of one step; raise BadInput with the place and the remedy."""
    place = f"step {number}: "
    if not isinstance(block, Mapping):
        raise BadInput(f"{place}is not a block with subject and text.", step=number)
    _known(block, STEP_KEYS, place)
    variants = _variants(block, place)
    delays = {
        "delay_hours": _number(block, "delay_hours", 0, 24 * 365) if "delay_hours" in block else 0,
        "delay_days": _number(block, "delay_days", 0, 365) if "delay_days" in block else 0,
    }
    wording = {name: variants[0][name] for name in WORDING} if variants else _wording(block, place)
    return StepPlan(wording | delays, variants)


WORDING = ("subject", "text_body", "html_body")


def digest(plan: StepPlan) -> str:
    """A mark of everything that a step says and when, for a second person's agreement."""
    return hashlib.sha256(json.dumps([plan.values, plan.variants], sort_keys=True).encode()).hexdigest()[:16]


def _wording(block: Mapping[str, Any], place: str) -> dict[str, Any]:
    return {
        "subject": _text(block, "subject", place, 500),
        "text_body": _text(block, "text", place, MAX_BODY_CHARS),
        "html_body": _text(block, "html", place, MAX_BODY_CHARS),
    }


def _variants(step: Mapping[str, Any], place: str) -> list[dict[str, Any]]:
    blocks = step.get("variants", [])
    if not isinstance(blocks, list) or len(blocks) > MAX_VARIANTS or len(blocks) == 1:
        raise BadInput(f"{place}variants: a list of 2 to {MAX_VARIANTS} blocks.", field="variants")
    if blocks and any(key in step for key in ("subject", "text", "html")):
        raise BadInput(f"{place}write subject and text either in the step or in its variants.", field="variants")
    made = []
    for number, block in enumerate(blocks):
        if not isinstance(block, Mapping):
            raise BadInput(f"{place}variants: each is a block with label, subject and text.", field="variants")
        _known(block, VARIANT_KEYS, f"{place}variants: ")
        label = _text(block, "label", f"{place}variants: ", 20) or "ABCDEFGHIJ"[number]
        made.append({"label": label, **_wording(block, f"{place}variant {label}: ")})
    if len({each["label"] for each in made}) < len(made):
        raise BadInput(f"{place}variants: two have the same label.", field="variants")
    return made


def _window(window: Any) -> dict[str, Any]:
    if not isinstance(window, Mapping):
        raise BadInput("window: a block with from, until, days, zone, holidays.", field="window")
    _known(window, WINDOW_KEYS, "window.")
    values: dict[str, Any] = {}
    for key, column in (("from", "window_from"), ("until", "window_until")):
        if key in window:
            values[column] = _clock(window[key], key)
    if "days" in window:
        values["window_days"] = _days(window["days"])
    if "zone" in window:
        zone = window["zone"]
        if not isinstance(zone, str) or not (zone in ("contact", "tenant") or zone in available_timezones()):
            raise BadInput(
                f"window.zone: {zone!r} is neither contact, tenant nor an IANA zone as Europe/Kyiv.",
                field="zone",
            )
        values["window_zone"] = zone
    if "holidays" in window:
        if not isinstance(window["holidays"], str) or window["holidays"] not in HOLIDAYS:
            raise BadInput(f"window.holidays: {window['holidays']!r} is neither closed nor open.", field="holidays")
        values["holidays"] = HOLIDAYS[window["holidays"]]
    return values


def _clock(value: Any, key: str) -> time:
    wrong = BadInput(f'window.{key}: write a time of day in quotes, as "09:00"; window.zone says where.', field=key)
    try:
        if isinstance(value, int) and not isinstance(value, bool):
            return time(value // 60, value % 60)  # YAML reads an unquoted 09:30 as minutes in base 60
        found = time.fromisoformat(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise wrong from error
    if found.tzinfo is not None:  # the database would drop it and keep the hour
        raise wrong
    return found


def _days(value: Any) -> list[int]:
    if not isinstance(value, list) or not value or any(day not in DAYS for day in value):
        raise BadInput(f"window.days: a list of {', '.join(DAYS)}.", field="days")
    return sorted({DAYS.index(day) for day in value})
