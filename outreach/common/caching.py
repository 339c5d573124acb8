"""How values stand in Django's cache: as JSON, so that whoever writes to Redis can't make us run anything."""

from __future__ import annotations

import json
from typing import Any


class JsonSerializer:
    """For the OPTIONS of RedisCache; Redis counts whole numbers as they are."""

    def dumps(self, value: Any) -> bytes | int:
        return value if type(value) is int else json.dumps(value).encode()

    def loads(self, data: bytes) -> Any:
        return json.loads(data)
