"""The API's ground: keys, pages, filters, limits; and the tenant itself."""
