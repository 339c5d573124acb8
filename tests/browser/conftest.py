"""A real browser on the real pages. Debian's Chromium; without it these tests are skipped."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

CHROMIUM = Path("/usr/bin/chromium")
# Nothing that looks up hosts of the browser's maker at every start.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# Playwright runs an event loop in this thread, which Django takes for asynchronous code.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    if not CHROMIUM.exists():
        pytest.skip(f"there is no {CHROMIUM} (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


class Troubles(list[str]):
    """What the browser complained about: errors, refused scripts, missing files."""


@pytest.fixture
def page(chromium, live_server):
    """An empty page whose complaints are collected in `page.troubles`."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, base_url=live_server.url)
    found = context.new_page()
    found.troubles = Troubles()
    found.on("pageerror", lambda error: found.troubles.append(str(error)))
    found.on("console", lambda said: found.troubles.append(said.text) if said.type == "error" else None)
    yield found
    context.close()
