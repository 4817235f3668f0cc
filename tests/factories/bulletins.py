"""Closed months for tests: plain rows, as closing leaves them."""

import datetime as dt
import hashlib
import itertools
from zoneinfo import ZoneInfo

from core.events import record_event
from core.periods import Month
from courses.models import ClosedFigure, MonthClose
from tests.factories.courses import make_course, make_run
from tests.factories.people import make_unit

OCTOBER = Month(2026, 10)

_numbers = itertools.count(1)


def make_close(month=OCTOBER):
    """A month that is being signed: figures can be added until ``seal`` closes it."""
    begun_at = dt.datetime(month.next.year, month.next.month, 3, 9, tzinfo=ZoneInfo("Asia/Shanghai"))
    return MonthClose.objects.create(month=month, begun_at=begun_at)


def seal(close):
    """Close a month: from here on the database refuses every change of its figures."""
    digest = hashlib.sha256(f"{close.month}-{next(_numbers)}".encode()).hexdigest()
    close.state, close.digest, close.newest_change = MonthClose.State.CLOSED, digest, 0
    close.closed_at = close.begun_at + dt.timedelta(days=2)
    close.save()
    after = {"month": str(close.month), "digest": digest}
    record_event(chain="months", action="month closed", subject=close, actor=None, at=close.closed_at, after=after)
    return close


def make_figure(close, unit, run, assigned, completed, on_time=None, exempt=0, **fields):
    """The frozen tally of one run in one unit."""
    parent = unit.get_parent()
    values = {
        "parent": parent,
        "path": unit.path,
        "depth": unit.depth,
        "unit_code": unit.code,
        "unit_zh": unit.name,
        "unit_en": unit.name_en,
        "assigned": assigned,
        "started": completed,
        "completed": completed,
        "on_time": completed if on_time is None else on_time,
        "exempt": exempt,
        "withdrawn": 0,
        "voluntary": 0,
        "voluntary_done": 0,
    }
    return ClosedFigure.objects.create(close=close, run=run, unit=unit, **{**values, **fields})


def make_closed_month(counts, month=OCTOBER, root=None, run=None, units=None, sealed=True):
    """A closed month of one course in a group with a city for each (assigned, completed); the group is their sum.

    Returns (close, root, the cities). ``units`` are cities of an earlier call, to close another month of them; with
    ``sealed=False`` more figures can be added before ``seal``.
    """
    root = root or make_unit(code=f"GRP{next(_numbers)}", name="集团", name_en="The Group")
    run = run or make_run(make_course(code=f"B-{next(_numbers):03d}"), month=month, state="closed")
    cities = units or [
        make_unit(root, kind="city", name=f"城{number}", name_en=f"City {number}")
        for number in range(1, len(counts) + 1)
    ]
    root.refresh_from_db()
    close = make_close(month)
    make_figure(close, root, run, sum(one[0] for one in counts), sum(one[1] for one in counts))
    for city, (assigned, completed) in zip(cities, counts, strict=True):
        make_figure(close, city, run, assigned, completed)
    if sealed:
        seal(close)
    return close, root, cities
