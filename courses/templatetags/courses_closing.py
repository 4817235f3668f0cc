"""What other pages say about the closing of a month."""

from django import template

from core.periods import Month
from courses.domain.closing import closed_month
from courses.models import MonthClose

register = template.Library()


@register.inclusion_tag("courses/_closed_notice.html")
def closed_notice(month: Month):
    """``{% closed_notice month %}``: says that a month is closed and leads to its page; nothing otherwise. One query."""
    return {"month": month, "close": closed_month(month)}


@register.simple_tag
def closings() -> dict[Month, MonthClose]:
    """``{% closings as closes %}``: the closings of all months, for lists of months. One query."""
    return {close.month: close for close in MonthClose.objects.all()}


@register.filter
def of_month(closes: dict[Month, MonthClose], month: Month) -> MonthClose | None:
    """``{{ closes|of_month:month }}``: the closing of one month, if it has begun."""
    return closes.get(month)
