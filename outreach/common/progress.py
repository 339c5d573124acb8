"""Progress of long commands: on stderr, and only where a person watches, unless asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm


def shown(wanted: bool | None = None) -> bool:
    """Return whether to show progress: what was asked for, or else whether stderr is a terminal."""
    return sys.stderr.isatty() if wanted is None else wanted


@contextmanager
def bar(total: int | None, title: str, *, unit: str = "rows", wanted: bool | None = None) -> Iterator[Any]:
    """Yield a bar to call `.update(n)` on; `total` None counts without an end."""
    with tqdm(
        total=total,
        desc=title,
        unit=f" {unit}",
        disable=not shown(wanted),
        file=sys.stderr,
        unit_scale=True,
        leave=False,
    ) as progress:
        yield progress
