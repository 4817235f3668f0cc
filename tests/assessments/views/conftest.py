import pytest
from django.core.cache import cache

from tests.factories.assessments import STARTED


@pytest.fixture(autouse=True)
def now(monkeypatch):
    """The views read the clock; here it stands, and a test may set it."""
    cache.clear()
    clock = {"now": STARTED}
    monkeypatch.setattr("django.utils.timezone.now", lambda: clock["now"])
    return lambda moment: clock.update(now=moment)
