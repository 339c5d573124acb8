"""Two books, ours and the sink's, and what must hold between them after any fault.

`Comparison.take(campaign, sinks)` reads both; `check()` raises AssertionError with both books printed where one
of the invariants I1 to I3 and I5 or the state of a row does not fit (I4 is about moments: see test_stops).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from django.db.models import Count, Sum

from campaigns.models import Attempt, Campaign, Enrolment, ListEntry, Message
from mailboxes.models import Allowance, AllowanceReturn, Mailbox
from outreach.demo.sink import Book, Entry

WITH_A_COPY = frozenset({"sent", "committing", "uncertain"})  # states in which a copy may exist
RESERVING = ("planned", "claimed", "committing", "sent", "failed", "uncertain")
SHOWN = 3000  # lines of the printed books


@dataclass(frozen=True, slots=True)
class Row:
    """One message of ours, and what the sink has of it."""

    id: int
    message_id: str
    recipient: str
    sender: str
    status: str
    reason: str
    tries: int
    reply_text: str
    content_hash: bytes
    accepted: tuple[Entry, ...]
    stored: tuple[Entry, ...]

    @property
    def copies(self) -> int:
        return len(self.accepted) + len(self.stored)


@dataclass(slots=True)
class Comparison:
    """Both books of one campaign at one moment."""

    campaign: Campaign
    book: Book
    rows: list[Row]
    foreign: list[Entry]  # copies that no row of ours knows
    wrong: list[str] = field(default_factory=list)

    @classmethod
    def take(cls, campaign: Campaign, book: Book) -> Comparison:
        """Read our rows of the campaign and lay them beside the sink's book."""
        campaign.refresh_from_db()
        copies: dict[str, dict[str, list[Entry]]] = defaultdict(lambda: {"accepted": [], "stored": []})
        for entry in (*book.accepted, *book.stored):
            copies[entry.message_id.strip("<>")][entry.kind].append(entry)
        rows = [
            Row(
                message.pk,
                message.message_id,
                message.contact.email,
                message.mailbox.address,
                message.status,
                message.reason,
                message.tries,
                message.reply_text,
                bytes(message.content_hash or b""),
                tuple(found["accepted"]),
                tuple(found["stored"]),
            )
            for message in campaign.messages.select_related("contact", "mailbox").order_by("pk")
            for found in [copies.pop(message.message_id.strip("<>"), {"accepted": [], "stored": []})]
        ]
        foreign = [entry for found in copies.values() for entries in found.values() for entry in entries]
        return cls(campaign, book, rows, foreign)

    def states(self) -> Counter[str]:
        """How many rows are in each state."""
        return Counter(row.status for row in self.rows)

    def of(self, recipients: Iterable[str]) -> list[Row]:
        """The rows of these people."""
        wanted = set(recipients)
        return [row for row in self.rows if row.recipient in wanted]

    def check(self, *, finished: bool = True) -> Comparison:
        """Raise AssertionError, with both books printed, unless all invariants hold."""
        self._i1_nobody_lost()
        self._i2_one_copy_each()
        self._i3_no_copy_without_a_row()
        self._i5_within_caps()
        if finished:
            self._everything_ended()
            self._answers_agree()
        if self.wrong:
            print(self.text())  # noqa: T201
            raise AssertionError("\n".join(self.wrong[:20]))
        return self

    # What must hold.

    def _say(self, broken: bool, sentence: str) -> None:
        if broken:
            self.wrong.append(sentence)

    def _i1_nobody_lost(self) -> None:
        twice = (
            Message.objects.filter(campaign=self.campaign)
            .values("enrolment", "step")
            .annotate(n=Count("pk"))
            .filter(n__gt=1)
        )
        self._say(twice.exists(), f"I1: {twice.count()} people have two rows for one step")
        listed = ListEntry.objects.filter(contact_list=self.campaign.contact_list_id).count()
        people = Enrolment.objects.filter(campaign=self.campaign)
        self._say(people.count() != listed, f"I1: {listed} people in the list, {people.count()} enrolled")
        waiting = people.filter(status="active", due_at=None, messages=None).count()
        self._say(waiting > 0, f"I1: {waiting} active people have neither a row nor a time")
        astray = people.filter(status="active").exclude(due_at=None).exclude(messages=None).count()
        self._say(astray > 0, f"I1: {astray} people are due although they have a row")

    def _i2_one_copy_each(self) -> None:
        for row in self.rows:
            self._say(row.copies > 1, f"I2: {row.copies} copies of {row.message_id} to {row.recipient}")
        people = Counter(entry.recipient for entry in (*self.book.accepted, *self.book.stored))
        for recipient, count in people.items():
            self._say(count > 1, f"I2: {recipient} got {count} mails")

    def _i3_no_copy_without_a_row(self) -> None:
        for entry in self.foreign:
            self._say(True, f"I3: the sink has {entry.message_id} to {entry.recipient}, we have no such row")
        for row in self.rows:
            fits = row.status in WITH_A_COPY or not row.copies
            self._say(not fits, f"I3: the sink has a copy of {row.message_id}, our row is {row.status}")

    def _i5_within_caps(self) -> None:
        """Reservations within caps, and rows within reservations (the database holds reserved <= cap as well)."""
        boxes = {box.pk: box for box in Mailbox.objects.filter(pool=self.campaign.pool_id)}
        for allowance in Allowance.objects.filter(scope="mailbox_day", key__in=boxes):
            day = allowance.period_start.date()
            held = Message.objects.filter(mailbox=allowance.key, day_on=day, status__in=RESERVING).count()
            back = AllowanceReturn.objects.filter(
                scope="mailbox_day", key=allowance.key, period_start=allowance.period_start
            ).aggregate(n=Sum("count"))["n"]
            name = boxes[allowance.key].address
            self._say(allowance.reserved > allowance.cap, f"I5: {name} reserved {allowance.reserved}/{allowance.cap}")
            self._say(
                held > allowance.reserved - (back or 0),
                f"I5: {name} has {held} rows on {allowance.reserved} reservations, {back or 0} given back",
            )
        mailed = Counter(entry.mail_from for entry in (*self.book.accepted, *self.book.stored))
        for box in boxes.values():
            self._say(mailed[box.address] > box.daily_cap, f"I5: {box.address} sent {mailed[box.address]} mails")

    def _everything_ended(self) -> None:
        self._say(self.campaign.status != "completed", f"the campaign is {self.campaign.status}")
        for row in self.rows:
            self._say(
                row.status in ("planned", "claimed", "committing", "deferred"),
                f"{row.message_id} to {row.recipient} is still {row.status}",
            )

    def _answers_agree(self) -> None:
        """A row says `sent` only on the sink's word, and a word that was heard is written down as such."""
        for row in self.rows:
            if row.status == "sent":
                told = [entry.answer[4:].partition(" ")[2] for entry in row.accepted]
                hashes = [bytes.fromhex(entry.sha256) for entry in row.accepted]
                self._say(len(told) != 1, f"{row.message_id} is sent, and the sink accepted it {len(told)} times")
                self._say(
                    bool(told) and told[0] not in row.reply_text,
                    f"{row.message_id}: the sink said {told}, we noted {row.reply_text!r}",
                )
                self._say(bool(row.content_hash) and row.content_hash not in hashes, f"{row.message_id}: other content")
            self._say(
                bool(row.stored) and row.status != "uncertain", f"{row.message_id} was never answered: {row.status}"
            )

    # Both books, printed.

    def text(self) -> str:
        """Every row of ours beside what the sink has, those that disagree first."""
        tried = Counter(Attempt.objects.values_list("message_ref", flat=True))
        kinds = {name: Counter(entry.recipient for entry in getattr(self.book, name)) for name in REFUSALS}
        lines = [
            f"OURS {dict(self.states())}",
            f"SINK accepted={len(self.book.accepted)} stored={len(self.book.stored)} "
            + " ".join(f"{name}={len(getattr(self.book, name))}" for name in REFUSALS),
            f"{'ours':<12}{'tries':>5} {'why':<20} {'attempts':>8} | {'sink: 250':>9} {'stored':>6} "
            + " ".join(f"{name:>8}" for name in REFUSALS)
            + "  message",
        ]
        ordered = sorted(self.rows, key=lambda row: (row.copies < 2 and row.status == "sent", row.id))
        lines.extend(self._lines(ordered[:SHOWN], tried, kinds))
        lines.extend(f"{'no row':<12} | {entry.kind} {entry.message_id} {entry.recipient}" for entry in self.foreign)
        return "\n".join(lines)

    def _lines(self, rows: Sequence[Row], tried: Counter[int], kinds: dict[str, Counter[str]]) -> Iterator[str]:
        for row in rows:
            yield (
                f"{row.status:<12}{row.tries:>5} {row.reason[:20]:<20} {tried[row.id]:>8} | {len(row.accepted):>9} "
                f"{len(row.stored):>6} "
                + " ".join(f"{kinds[name][row.recipient]:>8}" for name in REFUSALS)
                + f"  {row.message_id} {row.recipient} {row.sender}"
            )


REFUSALS = ("deferred", "refused", "aborted")
