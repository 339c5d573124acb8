"""Dates as control rooms write them: sortable, 24 hours, no month names to translate."""

DATE_FORMAT = SHORT_DATE_FORMAT = "Y-m-d"
TIME_FORMAT = "H:i:s"
DATETIME_FORMAT = SHORT_DATETIME_FORMAT = "Y-m-d H:i:s"
FIRST_DAY_OF_WEEK = 1
THOUSAND_SEPARATOR = ","
