"""By the clock and in the background: what the domain of performance does when nobody looks."""

from __future__ import annotations

import datetime as dt

from django.utils import timezone

from core.jobs import every_night
from kpi import (
    measure_jobs,  # noqa: F401 - its jobs and what it does at night
    pay_jobs,  # noqa: F401 - its job
    unit_jobs,  # noqa: F401 - its job
)
from kpi.domain import development, ratings, reviews, rule_reminders


@every_night("kpi.tell_of_rules")
def tell_of_rules(now: dt.datetime) -> dict:
    """Tell everybody who has a rule to read and was not told at this step yet, in the page."""
    return {"told": rule_reminders.tell_by_the_clock(on=timezone.localdate(now), at=now)}


@every_night("kpi.plans")
def close_plan_items(now: dt.datetime) -> dict:
    """What was planned and is completed by now is done, so that the course can be planned again another time."""
    return {"done": development.mark_done(at=now)}


@every_night("kpi.reviews")
def move_reviews_on(now: dt.datetime) -> dict:
    """Remind raters whose deadline is near, and make results final whose time to object is over."""
    return {"reminded": ratings.remind_by_the_clock(at=now), "final": reviews.finish_by_the_clock(at=now)}
