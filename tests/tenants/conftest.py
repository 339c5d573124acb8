"""The console's people and its small world serve here as well."""

from tests.console.conftest import _nothing_kept, as_chief, chief, world

__all__ = ["_nothing_kept", "as_chief", "chief", "world"]
