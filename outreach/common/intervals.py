"""How sure a share is: never a bare point."""

from __future__ import annotations

import math
from dataclasses import dataclass

Z_95 = 1.959963984540054  # of the standard normal distribution, two-sided


@dataclass(frozen=True, slots=True)
class Share:
    """`hits` of `total`, with Wilson's 95 % interval; without any it may be everything from 0 to 1."""

    hits: int
    total: int

    @property
    def value(self) -> float | None:
        return self.hits / self.total if self.total else None

    @property
    def low(self) -> float:
        return self._bounds()[0]

    @property
    def high(self) -> float:
        return self._bounds()[1]

    def _bounds(self) -> tuple[float, float]:
        """Wilson (1927): the values of the share that the count would not be surprising for."""
        if not self.total:
            return 0.0, 1.0
        share, weight = self.hits / self.total, Z_95**2 / self.total
        centre = (share + weight / 2) / (1 + weight)
        half = Z_95 / (1 + weight) * math.sqrt(share * (1 - share) / self.total + weight / (4 * self.total))
        low = 0.0 if not self.hits else max(centre - half, 0.0)
        return low, 1.0 if self.hits == self.total else min(centre + half, 1.0)
