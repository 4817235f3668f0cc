"""What followed from the demo company's training: rules, measures, reviews, pay, honours and plans, told in this order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.statistics import gather_statistics
from portal.demo.performance.development import tell_development
from portal.demo.performance.measures import tell_measures
from portal.demo.performance.pay import tell_pay
from portal.demo.performance.recognition import honour_the_best
from portal.demo.performance.reviews import tell_reviews
from portal.demo.performance.rules import tell_of_rules
from portal.demo.performance.unit_results import tell_unit_results

if TYPE_CHECKING:
    from portal.demo.builder import Builder


def tell_performance(builder: Builder) -> None:
    """Tell the year's performance of a company whose months are told."""
    for tell in (
        tell_of_rules,
        tell_measures,
        tell_reviews,
        tell_unit_results,
        tell_pay,
        honour_the_best,
        tell_development,
    ):
        tell(builder)
        gather_statistics()
