"""A real browser on a real server, with a database of its own for every test.

What the server commits cannot be rolled back, and history tables refuse to be emptied, so each test gets a fresh copy of
the migrated template. Without a Chromium (variable CHROMIUM, or one on the path) the tests are skipped, loudly.
"""

import os
import shutil

import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.cache import cache
from django.db import connection
from pytest_django.live_server_helper import LiveServer

from tests import conftest as shared
from tests.browser.visitor import Visitor

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--disable-features=Translate,OptimizationHints,MediaRouter,DialMediaRouteProvider",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-pings",
    "--metrics-recording-only",
]


@pytest.fixture(scope="session")
def browser():
    if not CHROMIUM:
        pytest.skip("!!! NO CHROMIUM: THE BROWSER TESTS DID NOT RUN !!!")
    from playwright.sync_api import sync_playwright

    # The driver keeps an event loop in this thread; Django would then refuse every query of a test.
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()
    if before is None:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]
    else:
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = before


@pytest.fixture
def own_database(django_db_setup, django_db_blocker):
    """A copy of the migrated template for this test alone."""
    make = shared._sqlite if connection.vendor == "sqlite" else shared._postgresql
    with django_db_blocker.unblock():
        before = connection.settings_dict["NAME"]
        close = make(f"{os.environ.get('PYTEST_XDIST_WORKER', 'main')}-browser".replace("-", "_"))
        _forget()
        try:
            yield
        finally:
            close()
            shared._use(before)
            _forget()


def _forget() -> None:
    """What the process remembers of another database."""
    ContentType.objects.clear_cache()
    cache.clear()


@pytest.fixture
def server(own_database, settings):
    """The site, served; what it writes into links and QR codes leads back to it."""
    live = LiveServer("localhost")
    settings.ALLOWED_HOSTS = [*settings.ALLOWED_HOSTS, "localhost"]
    settings.WAGTAILADMIN_BASE_URL = live.url
    settings.JOBS = "immediate"
    yield live
    live.stop()


@pytest.fixture
def visit(browser, server, request):
    """Make visitors: ``visit("en", phone=True)``. What they saw last is kept as a picture when the test fails."""
    visitors: list[Visitor] = []

    def make(language: str, *, phone: bool = False, name: str = "", scripts: bool = True) -> Visitor:
        name = name or f"visitor{len(visitors)}"
        visitors.append(Visitor(browser, server.url, language, phone=phone, name=name, scripts=scripts))
        return visitors[-1]

    yield make
    report = getattr(request.node, "call_report", None)
    for visitor in visitors:
        if report is not None and report.failed:
            folder = shared.ROOT / "var" / "browser-failures"
            folder.mkdir(parents=True, exist_ok=True)
            visitor.picture(folder / f"{request.node.name}-{visitor.name}.png")
        visitor.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.when == "call":
        item.call_report = report
    return report
