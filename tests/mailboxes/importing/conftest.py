"""A tenant, and a way to write files for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import factories
from tests.mailboxes.importing.files import COLUMNS


@pytest.fixture(autouse=True)
def _loopback(settings):
    """Nothing is looked up in the world's DNS: all servers are on this machine."""
    settings.SMTP_ALLOW_LOOPBACK = True


@pytest.fixture
def tenant():
    return factories.tenant()


@pytest.fixture
def write(tmp_path):
    def write(*rows: str, columns: str = COLUMNS) -> Path:
        path = tmp_path / "mailboxes.csv"
        path.write_bytes(("\n".join((columns, *rows)) + "\n").encode())
        return path

    return write
