"""Results of the demo company's units: of each quarter that was reviewed, the day after people had theirs."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from kpi.domain import rules, unit_results
from kpi.models import ReviewCycle, Rule
from portal.demo import company as story
from portal.demo.performance.rules import UNIT_CARD

if TYPE_CHECKING:
    from portal.demo.builder import Builder


def tell_unit_results(builder: Builder) -> int:
    """Compute the cards of all units over the quarters whose results are published; returns how many."""
    root, rule = builder.units[story.GROUP.code], Rule.objects.get(code=UNIT_CARD)
    cycles = ReviewCycle.objects.filter(kind=ReviewCycle.Kind.QUARTERLY, published_at__isnull=False)
    number = 0
    for cycle in cycles.order_by("last_month"):
        version = rules.version_in_force(rule, cycle.last_month.last_day)
        if version is not None:
            number += unit_results.compute_units(
                version=version,
                scope=root,
                units=unit_results.units_of(root),
                first_month=cycle.first_month,
                last_month=cycle.last_month,
                by=builder.users[story.HR],
                at=min(cycle.published_at + dt.timedelta(days=1), builder.now),
            )
    return number
