"""A sink in a process of its own, for the demo and the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from outreach.demo.server_process import ServerProcess
from outreach.demo.sink import Book


class SinkProcess(ServerProcess):
    """`options` are the fields of `sink.Options`; `module` is for sinks that can do more.

    A second start goes on in the same book.
    """

    def __init__(self, book: Path | str, *, module: str = "outreach.demo.sink", **options: Any) -> None:
        super().__init__(module, book=book, **options)
        self.path = Path(book)

    def start(self, seconds: float = 20) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return super().start(seconds)

    def read_book(self) -> Book:
        """What it wrote so far."""
        return Book.read(self.path)
