"""Pages by a cursor: the id where the next page goes on. Cheap however far in, and no row twice."""

from __future__ import annotations

from typing import Any

from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination

from outreach.common.problems import FieldErrors

ORDERINGS = {"id": "pk", "-id": "-pk"}
LONGEST_ID = 18  # digits that surely fit into a bigint


class CursorPages(CursorPagination):
    """Ordered by id; `ordering=-id` begins with the newest. Whatever makes no sense is refused, not corrected."""

    ordering = "pk"
    page_size, max_page_size = 50, 200
    page_size_query_param = "page_size"
    parameters = ("cursor", "page_size", "ordering")

    def get_page_size(self, request: Any) -> int:
        text = request.query_params.get("page_size", str(self.page_size))
        if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= self.max_page_size):
            raise FieldErrors({"page_size": [f"A whole number from 1 to {self.max_page_size}."]})
        return int(text)

    def get_ordering(self, request: Any, queryset: Any, view: Any) -> tuple[str, ...]:
        text = request.query_params.get("ordering", "id")
        if text not in ORDERINGS:
            raise FieldErrors({"ordering": [f"One of {', '.join(ORDERINGS)}."]})
        return (ORDERINGS[text],)

    def decode_cursor(self, request: Any) -> Cursor | None:
        try:
            cursor = super().decode_cursor(request)
        except (NotFound, ValueError) as error:
            raise FieldErrors({"cursor": ["Take it from the link of another page."]}) from error
        position = cursor and cursor.position
        if position and not (position.isascii() and position.isdigit() and len(position) <= LONGEST_ID):
            raise FieldErrors({"cursor": ["Take it from the link of another page."]})
        return cursor

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        size = {"type": "integer", "minimum": 1, "maximum": self.max_page_size, "default": self.page_size}
        schemas = {
            "cursor": {"type": "string"},
            "page_size": size,
            "ordering": {"type": "string", "enum": list(ORDERINGS), "default": "id"},
        }
        return [{"name": name, "in": "query", "required": False, "schema": schemas[name]} for name in self.parameters]
