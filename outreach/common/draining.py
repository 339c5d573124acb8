"""One flag per process: a SIGTERM came, so begin nothing new and bring to an end what is under way."""

from __future__ import annotations

import threading

stopping = threading.Event()
