"""Named, ordered lists by which a lower app's act reaches the apps above it.

Imports only go down, so mailboxes can't call campaigns. An upper app registers in
AppConfig.ready(); the lower service calls in its own transaction. The names are
fixed here, so a misspelt one fails at start.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_HOOKS: dict[str, list[Callable[..., Any]]] = {
    "tenants.suspended": [],
    "tenants.cap_lowered": [],
    "tenants.record_written": [],
    "tenants.contract_changed": [],
    "tenants.frequency_set": [],
    "tenants.erasing": [],
    "tenants.retention": [],
    "mailboxes.withdrawn": [],
    "mailboxes.leaving": [],
    "mailboxes.brake_pulled": [],
    "mailboxes.bases_changed": [],
    "mailboxes.cap_lowered": [],
    "mailboxes.bases_needed": [],
    "mailboxes.account_suspended": [],
    "mailboxes.counting_clean": [],
    "mailboxes.moved": [],
    "mailboxes.counting_waiting": [],
    "mailboxes.counting_sent": [],
    "mailboxes.judging": [],
    "mailboxes.last_sent": [],
    "mailboxes.judging_domains": [],
    "mailboxes.receiver_limited": [],
    "campaigns.preflight": [],
}


def register(name: str, function: Callable[..., Any]) -> None:
    """Append a function to the hook; registering the same one twice has no effect."""
    functions = _HOOKS[name]
    if function not in functions:
        functions.append(function)


def call(name: str, **arguments: Any) -> None:
    """Run the hook's functions in order; what they raise reaches the caller and undoes its transaction."""
    for function in _HOOKS[name]:
        function(**arguments)


def registered() -> dict[str, list[str]]:
    """Who listens to what, as dotted names."""
    return {name: [f"{f.__module__}.{f.__qualname__}" for f in functions] for name, functions in _HOOKS.items()}
