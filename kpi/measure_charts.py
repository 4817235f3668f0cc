"""The control chart of an indicator as numbers for an SVG, and the sentence that says what it shows."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from core.periods import Month
from core.templatetags.interface import with_sign
from kpi.domain.control_limits import FEWEST, ControlChart, Observation, control_chart
from kpi.domain.measures import Point
from kpi.domain.scoring import half_up
from kpi.models import Indicator

# The field in units of the drawing: room at the left and below for the scales.
WIDTH, HEIGHT = 400, 220
LEFT, RIGHT, TOP, BOTTOM = 40, 392, 14, 178


def number_words(value: Decimal | None, unit: str) -> str:
    """This function will write a value as people read it: two places at most, a share floored and with its sign."""
    if value is None:
        return "–"
    if unit == Indicator.Unit.PERCENT:
        floored = Decimal(int(value * 100)) / 100
        return with_sign(_short(floored))
    return _short(half_up(value, 2))


def _short(value: Decimal) -> str:
    text = f"{value:,.2f}"
    return text.rstrip("0").rstrip(".")


def months_as_observations(points: list[Point], indicator: Indicator) -> list[Observation]:
    percent = indicator.unit == Indicator.Unit.PERCENT
    return [Observation(one.value, one.numerator if percent else None, one.denominator) for one in points]


def chart_of(points: list[Point], indicator: Indicator) -> ControlChart:
    """This function will return the control limits of the months of an indicator, cut at the ends of its scale."""
    unit = indicator.unit
    least = None if unit == Indicator.Unit.POINTS else Decimal(1) if unit == Indicator.Unit.RATING else Decimal(0)
    most = Decimal(5) if unit == Indicator.Unit.RATING else None
    if unit == Indicator.Unit.PERCENT and all(one.value <= 100 for one in points):
        most = Decimal(100)
    return control_chart(months_as_observations(points, indicator), least=least, most=most)


# --- in words -------------------------------------------------------------------------------------------------------------
def sentence(points: list[Point], indicator: Indicator, chart: ControlChart) -> str:
    """This function will say what the chart shows: the newest month, the change, and whether it is more than chance."""
    if not points:
        return ""
    last = points[-1]
    newest = {"month": last.month.label, "value": number_words(last.value, indicator.unit)}
    words = [_("%(month)s: %(value)s.") % newest]
    if len(points) > 1:
        words.append(_change(points[-2], last, indicator))
    if not chart.method:
        words.append(
            ngettext("Limits are drawn from %(n)s month on.", "Limits are drawn from %(n)s months on.", FEWEST)
            % {"n": FEWEST}
        )
    elif chart.outside:
        months = _listed([points[place].month.label for place in chart.outside])
        words.append(
            ngettext(
                "%(months)s lies outside the limits: that is more than chance, look for its reason.",
                "%(months)s lie outside the limits: that is more than chance, look for their reasons.",
                len(chart.outside),
            )
            % {"months": months}
        )
    elif chart.run:
        text = (
            _("The last %(n)s months all lie above the mean: something has changed for good.")
            if chart.run_above
            else _("The last %(n)s months all lie below the mean: something has changed for good.")
        )
        words.append(text % {"n": chart.run})
    else:
        words.append(
            _("All months lie within the limits: these ups and downs are ordinary, a single one explains nothing.")
        )
    return (" " if (get_language() or "").startswith("en") else "").join(words)


def _change(before: Point, last: Point, indicator: Indicator) -> str:
    change = last.value - before.value
    values = {"month": before.month.label, "by": _short(abs(half_up(change, 2)))}
    if not half_up(change, 2):
        return _("The same as in %(month)s.") % values
    if indicator.unit == Indicator.Unit.PERCENT:
        text = (
            _("%(by)s percentage points more than in %(month)s.")
            if change > 0
            else _("%(by)s percentage points less than in %(month)s.")
        )
    else:
        text = _("%(by)s more than in %(month)s.") if change > 0 else _("%(by)s less than in %(month)s.")
    return text % values


def _listed(words: list[str]) -> str:
    between = ", " if (get_language() or "").startswith("en") else "、"
    return between.join(words)


# --- as a drawing ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Dot:
    x: str
    y: str
    outside: bool


@dataclass(frozen=True)
class Tick:
    place: str
    text: str
    below: str = ""


@dataclass(frozen=True)
class Drawing:
    """What the template needs: the line in runs (a gap where a month is missing), dots, limits, the middle, scales."""

    lines: list[str]
    dots: list[Dot]
    high: str
    low: str
    middle: str
    xs: list[Tick]
    ys: list[Tick]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = RIGHT
    top: int = TOP
    bottom: int = BOTTOM


def draw(points: list[Point], indicator: Indicator, chart: ControlChart) -> Drawing | None:
    """This function will lay the chart out; None for fewer than two months."""
    if len(points) < 2:
        return None
    first, last = points[0].month, points[-1].month
    span = _distance(first, last)
    levels = [one.value for one in points] + [end for limit in chart.limits for end in (limit.low, limit.high)]
    foot, ticks, head = _scale(min(levels), max(levels), indicator)

    def across(month: Month) -> Decimal:
        return LEFT + 8 + Decimal(RIGHT - LEFT - 16) * _distance(first, month) / span

    def up(value: Decimal) -> Decimal:
        return BOTTOM - (value - foot) / (head - foot) * (BOTTOM - TOP)

    places = [(across(one.month), up(one.value)) for one in points]
    runs: list[list[str]] = [[]]
    for number, (x, y) in enumerate(places):
        if number and _distance(points[number - 1].month, points[number].month) > 1:
            runs.append([])
        runs[-1].append(f"{x:.1f},{y:.1f}")
    every = max(1, -(-(span + 1) // 13))
    months = [first.plus(step) for step in range(0, span + 1, every)]
    return Drawing(
        lines=[" ".join(run) for run in runs if len(run) > 1],
        dots=[Dot(f"{x:.1f}", f"{y:.1f}", number in chart.outside) for number, (x, y) in enumerate(places)],
        high=_steps([(x, up(limit.high)) for (x, _y), limit in zip(places, chart.limits, strict=False)]),
        low=_steps([(x, up(limit.low)) for (x, _y), limit in zip(places, chart.limits, strict=False)]),
        middle="" if chart.middle is None else f"{up(chart.middle):.1f}",
        xs=[
            Tick(f"{across(one):.1f}", str(one.month), str(one.year) if one == first or one.month <= every else "")
            for one in months
        ],
        ys=[Tick(f"{up(tick):.1f}", number_words(tick, indicator.unit)) for tick in ticks],
    )


def _distance(first: Month, last: Month) -> int:
    return (last.year - first.year) * 12 + last.month - first.month


def _steps(points: list[tuple[Decimal, Decimal]]) -> str:
    """Limits as a stair: each month has its own."""
    if not points:
        return ""
    half = (points[-1][0] - points[0][0]) / (len(points) - 1) / 2 if len(points) > 1 else Decimal(8)
    path = ""
    for number, (x, y) in enumerate(points):
        left, right = max(x - half, Decimal(LEFT)), min(x + half, Decimal(RIGHT))
        path += f"{'L' if number else 'M'}{left:.1f} {y:.1f}L{right:.1f} {y:.1f}"
    return path


def _scale(least: Decimal, most: Decimal, indicator: Indicator) -> tuple[Decimal, list[Decimal], Decimal]:
    """Where the scale begins and ends, and about five round numbers on it."""
    if most - least < Decimal("0.5"):
        least, most = least - 1, most + 1
        if indicator.unit == Indicator.Unit.PERCENT and most > 100 >= most - 1:
            most = Decimal(100)
        if indicator.unit != Indicator.Unit.POINTS:
            least = max(least, Decimal(0))
    wide = most - least
    step = next(
        lead * power
        for power in (Decimal(10) ** place for place in range(-2, 10))
        for lead in (Decimal(1), Decimal(2), Decimal(5))
        if wide / (lead * power) <= 5
    )
    foot = (least / step).to_integral_value(rounding="ROUND_FLOOR") * step
    head = (most / step).to_integral_value(rounding="ROUND_CEILING") * step
    ticks = [foot + step * number for number in range(int((head - foot) / step) + 1)]
    return foot, ticks, head
