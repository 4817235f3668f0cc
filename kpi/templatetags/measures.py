"""How values of indicators are written in templates."""

from __future__ import annotations

from django import template

from kpi.domain.measures import reason_words
from kpi.measure_charts import number_words
from kpi.models import Measure

register = template.Library()


@register.filter
def value_words(value, indicator) -> str:
    """``{{ measure.value|value_words:indicator }}``: 98.25 %, 84.5, 3; a share is floored, a dash for none."""
    return number_words(value, indicator.unit)


@register.filter
def why_words(measure: Measure) -> str:
    """Why a measure superseded another one, in the active language where the platform said it."""
    return reason_words(measure)
