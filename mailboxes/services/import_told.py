"""What a dry run tells of each row: the verdict, and for a known mailbox what would change. No secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mailboxes.models import Mailbox
from mailboxes.services import undo
from outreach.common import previews
from outreach.common.previews import Preview
from outreach.common.refusals import Refusal, Row


class Told:
    """The rows of the chunk in hand. Without a preview nothing is kept."""

    def __init__(self, preview: Preview | None, pools: Mapping[int, str], accounts: Mapping[int, str]) -> None:
        self._preview, self._pools, self._accounts = preview, pools, accounts
        self._rows: list[dict[str, Any]] = []

    def image(self, mailbox: Mailbox) -> dict[str, Any]:
        """What a person sees of the fields that a file may change."""
        if not self._preview:
            return {}
        named = {
            "pool": self._pools.get(mailbox.pool_id),
            "server": self._accounts.get(mailbox.home_id),
            "ramp": mailbox.ramp and mailbox.ramp.name,
        }
        return {undo.SHOWN.get(name, name): value for name, value in undo.image(mailbox).items()} | named

    def see(
        self,
        line: int,
        verdict: str,
        mailbox: Mailbox,
        before: Mapping[str, Any] | None = None,
        password: bytes | None = None,
    ) -> None:
        """Note a row that is taken; of a password only that it is another one."""
        if not self._preview:
            return
        entry: dict[str, Any] = {"line": line, "verdict": verdict, "subject": mailbox.address}
        if before is not None:
            after = self.image(mailbox)
            changes = {name: (old, after[name]) for name, old in before.items() if old != after[name]}
            entry["changes"] = changes | ({} if password is None else {"smtp_password": ("stored", "another one")})
        self._rows.append(entry)

    def refused(self, row: Row, cells: Mapping[str, str], refusals: Sequence[Refusal]) -> None:
        """Note a row that is refused; of a torn one any cell may stand in any column, so none is shown."""
        if self._preview:
            is_torn = any(not refusal.column for refusal in refusals)
            self._rows.append(previews.refused(row.line, "" if is_torn else cells["address"][:254], refusals))

    def end_chunk(self) -> None:
        if self._preview:
            self._preview.add(self._rows)
        self._rows.clear()
