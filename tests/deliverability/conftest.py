"""A name server for each test, and a resolver that asks it and nobody else."""

from collections.abc import Iterator

import pytest

from deliverability.dns.resolver import Resolver
from tests.console.conftest import analyst, as_analyst, as_chief, chief
from tests.deliverability.name_server import NameServer

__all__ = ["analyst", "as_analyst", "as_chief", "chief", "resolver", "server"]


@pytest.fixture
def server() -> Iterator[NameServer]:
    running = NameServer()
    running.start()
    yield running
    running.stop()


@pytest.fixture
def resolver(server) -> Resolver:
    return Resolver([("127.0.0.1", server.port)], timeout_seconds=0.4, tries=2)
