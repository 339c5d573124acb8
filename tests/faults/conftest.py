"""The scene of a fault: a tenant with its fleet and its people, a sink, and real worker and cron processes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from campaigns.models import Campaign
from campaigns.services import campaigns
from tenants.services.actors import SYSTEM
from tests import factories
from tests.faults.books import Comparison
from tests.faults.nursery import Child, Nursery
from tests.faults.points import Act, Name, Order
from tests.faults.sink import FaultSink

CONTACTS = int(os.environ.get("OUTREACH_FAULT_CONTACTS", "200"))
MAILBOXES = int(os.environ.get("OUTREACH_FAULT_MAILBOXES", "40"))
WORKERS = int(os.environ.get("OUTREACH_FAULT_WORKERS", "2"))
PATIENCE_SECONDS = 180  # for anything that must happen at all; nothing here measures time

# The settings of production in seconds where they are minutes there.
QUICK = {
    "LEASE_SECONDS": "3",
    "SMTP_DOT_SECONDS": "4",
    "DOT_LEASE_MARGIN_SECONDS": "1",
    "SMTP_COMMAND_SECONDS": "20",
    "SMTP_DATA_SECONDS": "20",
    "DRAIN_SECONDS": "10",
    "RETRY_SCHEDULE": "1,2",
    "CIRCUIT_FIRST_SECONDS": "1",
    "CIRCUIT_LONGEST_SECONDS": "2",
    "HOST_REST_SECONDS": "1",
    "BATCH_AHEAD_SECONDS": "1",
    "BATCH_EVERY_SECONDS": "0.2",
    "RING_AGAIN_SECONDS": "1,2",
    "PLAN_EVERY_SECONDS": "0.5",
    "SWEEP_EVERY_SECONDS": "0.5",
    "SMTP_ALLOW_LOOPBACK": "1",
    "JOB_MESSAGES": str(max(CONTACTS // WORKERS, 1)),
}


def until(happened: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> Any:
    """Wait until the function returns something true, and return that."""
    deadline = time.monotonic() + seconds
    while not (found := happened()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return found


@dataclass(slots=True)
class House:
    """The processes of one test. All of them are gone after it."""

    nursery: Nursery
    folder: Path
    env: dict[str, str] = field(default_factory=dict)
    children: list[Child] = field(default_factory=list)

    def worker(self, *, point: Order | None = None, **env: Any) -> Child:
        """One worker of the queue `send`."""
        return self._fork("worker", env, point=point)

    def workers(self, count: int = WORKERS, **env: Any) -> list[Child]:
        return [self.worker(**env) for _ in range(count)]

    def cron(self, *, forced: bool = False, **env: Any) -> Child:
        """The process that plans, batches and sweeps; a `forced` one does so beside another."""
        return self._fork("cron", env, forced=forced)

    def _fork(self, kind: str, env: Mapping[str, Any], **how: Any) -> Child:
        wanted = QUICK | self.env | {name: str(value) for name, value in env.items()}
        log = self.folder / f"{kind}-{len(self.children)}.log"
        child = self.nursery.fork(kind, wanted, log, **how)
        self.children.append(child)
        return child

    def at(self, name: Name, act: Act, after: int = 5) -> Order:
        """A point at which `after` threads of a worker meet; `reached` tells who came."""
        number = len(list(self.folder.glob("point-*")))
        book = self.folder / f"point-{number}"
        book.touch()
        return Order(name, act, after, str(book), str(self.folder / f"gate-{number}"))

    def finish(self, campaign: Campaign, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait for the campaign's end, then for that of all processes, which must be a good one."""

        def done() -> bool:
            campaign.refresh_from_db()
            self._nobody_died()
            return campaign.status == Campaign.Status.COMPLETED

        try:
            until(done, "the campaign's end", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; {campaigns.status(campaign)}") from error
        self.stop()

    def _nobody_died(self) -> None:
        for child in self.children:
            assert child.ended() in (None, 0, -signal.SIGKILL), f"{child.kind} {child.pid} ended with {child.code}"

    def stop(self) -> None:
        """SIGTERM to all that live, and a good end of each."""
        living = [child for child in self.children if child.ended() is None]
        for child in living:
            child.send(signal.SIGTERM)
        codes = [child.wait(PATIENCE_SECONDS) for child in living]
        assert codes == [0] * len(codes), codes

    def close(self) -> None:
        """End whatever is left."""
        for child in self.children:
            child.send(signal.SIGKILL)
        for child in self.children:
            child.wait()

    def logs(self, lines: int = 40) -> str:
        """The last words of every process."""
        tails = []
        for child in self.children:
            text = child.log.read_text(errors="replace").splitlines() if child.log.exists() else []
            tails.append(f"--- {child.kind} {child.pid}, ended with {child.code}\n" + "\n".join(text[-lines:]))
        return "\n".join(tails)


def reached(order: Order) -> list[str]:
    """The recipients whose mail came to the point."""
    return Path(order.book).read_text().splitlines()


def arrived(order: Order) -> list[str]:
    """Wait until as many threads came to the point as it wants, and return whose mail they carried."""
    return until(lambda: len(found := reached(order)) >= order.after and found, f"{order.after} at {order.name}")


def open_gate(order: Order) -> None:
    """Let those go on who are held."""
    Path(order.gate).touch()


@pytest.fixture(scope="session")
def nurseries() -> Iterator[dict[str, Nursery]]:
    """One for each database and queue that tests of this run work on."""
    found: dict[str, Nursery] = {}
    yield found
    for nursery in found.values():
        nursery.close()


def nursery_of(found: dict[str, Nursery], env: Mapping[str, str]) -> Nursery:
    key = env["WORKER_DATABASE_URL"] + env["REDIS_URL"]
    if key not in found:
        found[key] = Nursery(env)
    return found[key]


@pytest.fixture
def house(process_env, empty_queue, nurseries, tmp_path) -> Iterator[House]:
    """Processes on this test's database and queue."""
    made = House(nursery_of(nurseries, process_env), tmp_path)
    yield made
    made.close()
    print(made.logs())  # noqa: T201 (shown when the test failed)


@pytest.fixture
def sink(tmp_path) -> Iterator[FaultSink]:
    with FaultSink(tmp_path / "book.jsonl") as running:
        yield running


@pytest.fixture
def launch(sink):
    """Start a campaign to CONTACTS people from MAILBOXES mailboxes that leave by the sink."""

    def launched(
        people: int = CONTACTS, mailboxes: int = MAILBOXES, *, fleet: Mapping[str, Any] | None = None, **changes: Any
    ) -> Campaign:
        tenant = factories.tenant()
        boxes = factories.fleet(tenant, mailboxes, host=sink.host, port=sink.port, **(fleet or {}))
        listed = factories.contact_list(tenant)
        factories.people(tenant, listed, people)
        campaign = factories.campaign(tenant, boxes[0].pool, listed, **changes)
        return campaigns.start(campaign, actor=SYSTEM)

    return launched


@pytest.fixture
def compare(sink):
    """`compare(campaign)` lays our book beside the sink's and checks the invariants."""

    def compared(campaign: Campaign, *, finished: bool = True) -> Comparison:
        return Comparison.take(campaign, sink.read_book()).check(finished=finished)

    return compared
