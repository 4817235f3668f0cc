"""The funnel plot as numbers for an SVG: the page's template draws it, with the same meaning in words beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bulletins.domain.words import name_of
from core.templatetags.interface import count

# The field in units of the drawing: room at the left and below for the scales.
WIDTH, HEIGHT = 400, 260
LEFT, RIGHT, TOP, BOTTOM = 38, 392, 14, 226
_LABELS = 8  # more names than this are not written into the drawing; the tables have all
_LINE = 11  # how far apart two names must stand


@dataclass(frozen=True)
class Dot:
    """A unit: its place, whether it is ranked, and on which side it differs ("", below, above)."""

    x: str
    y: str
    ranked: bool
    differs: str


@dataclass(frozen=True)
class Label:
    """A name beside a dot: its place and on which side of the place it is written (start or end)."""

    text: str
    x: str
    y: str
    anchor: str


@dataclass(frozen=True)
class Tick:
    """A mark of a scale: its place and its words."""

    place: str
    text: str


@dataclass(frozen=True)
class Funnel:
    """Everything the template needs to draw: the level of the whole, the four lines, the dots, names and scales."""

    whole: str
    inner: list[str]
    outer: list[str]
    dots: list[Dot]
    labels: list[Label]
    xs: list[Tick]
    ys: list[Tick]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = RIGHT
    top: int = TOP
    bottom: int = BOTTOM


def funnel(figures: dict) -> Funnel | None:
    """This function will lay out the funnel plot of a bulletin; None where every unit has the same rate of 0 or 100 %.

    People run to the right on a logarithmic scale (a province and a branch fit one picture), the rate upwards. The
    lowest rate shown is that of the lowest dot or of the outer limit of the smallest ranked unit, whichever is lower.
    """
    lines, units = figures["lines"], figures["units"]
    if not lines or not units:
        return None
    sizes = [line["people"] for line in lines]
    across = _Scale(math.log(min(sizes)), math.log(max(sizes)), LEFT, RIGHT)
    rates = [unit["completed"] / unit["assigned"] for unit in units]
    ranked = [unit["people"] for unit in units if unit["rank"]] or sizes
    # in steps of five points, with room for a name below the lowest dot
    foot = math.floor((min(*rates, _outer_limit(lines, min(ranked))) - 0.02) * 20) / 20
    upwards = _Scale(max(0.0, min(foot, 0.95)), 1.0, BOTTOM, TOP)
    whole = figures["total"]["completed"] / figures["total"]["assigned"]
    dots, named = [], []
    for unit, rate in zip(units, rates, strict=True):
        x, y = across.at(math.log(unit["people"])), upwards.at(rate)
        dots.append(Dot(f"{x:.1f}", f"{y:.1f}", bool(unit["rank"]), unit["differs"]))
        if unit["differs"]:
            named.append((y, x, name_of(unit)))
    drawn = [_path(lines, place, across, upwards) for place in range(4)]
    return Funnel(
        whole=f"{upwards.at(whole):.1f}",
        inner=[path for path in drawn[1:3] if path],
        outer=[path for path in (drawn[0], drawn[3]) if path],
        dots=dots,
        labels=_labels(named),
        xs=[Tick(f"{across.at(math.log(size)):.1f}", count(size)) for size in _round_sizes(min(sizes), max(sizes))],
        ys=[Tick(f"{upwards.at(rate):.1f}", f"{round(rate * 100)}%") for rate in _round_rates(upwards.first)],
    )


@dataclass(frozen=True)
class _Scale:
    first: float
    last: float
    start: float
    end: float

    def at(self, value: float) -> float:
        return self.start + (value - self.first) / (self.last - self.first) * (self.end - self.start)


def _outer_limit(lines: list[dict], people: int) -> float:
    """The lower 99.8 % limit at about that size."""
    nearest = min(lines, key=lambda line: abs(line["people"] - people))
    return max(0.0, nearest["shares"][0] / 100_000)


def _path(lines: list[dict], place: int, across: _Scale, upwards: _Scale) -> str:
    """One line of the funnel; it ends where it leaves the field, above 100 % or below the lowest rate shown."""
    points: list[tuple[float, float]] = []
    runs: list[list[tuple[float, float]]] = []
    for line in lines:
        share = line["shares"][place] / 100_000
        if upwards.first <= share <= 1:
            points.append((across.at(math.log(line["people"])), upwards.at(share)))
        elif points:
            runs.append(points)
            points = []
    runs.append(points)
    return " ".join("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in run) for run in runs if len(run) > 1)


def _labels(named: list[tuple[float, float, str]]) -> list[Label]:
    """The names of the units that differ, each moved a little where it would lie on another; left out where it cannot."""
    labels: list[Label] = []
    taken: list[tuple[float, float, float]] = []  # from and to across, and how high
    for y, x, text in sorted(named):
        leftwards = x > (LEFT + RIGHT) / 2
        width = sum(10 if ord(char) > 0x2E7F else 5.5 for char in text)
        start = x - 7 - width if leftwards else x + 7
        for lines in (0, 1, 2, -1, -2):
            base = y + 3.5 + lines * _LINE
            free = all(start > right or start + width < left or abs(base - at) >= _LINE for left, right, at in taken)
            if free and TOP - 4 <= base < BOTTOM and start >= LEFT:
                taken.append((start, start + width, base))
                anchor = "end" if leftwards else "start"
                labels.append(Label(text, f"{x - 7 if leftwards else x + 7:.1f}", f"{base:.1f}", anchor))
                break
        if len(labels) == _LABELS:
            break
    return labels


def _round_sizes(smallest: int, largest: int) -> list[int]:
    """Sizes with one digit that is not a zero, as many of them as have room: 1 to 9, else 1, 2, 5, else 1."""
    found: list[int] = []
    for leads in (range(1, 10), (1, 2, 5), (1,)):
        found = [size for power in range(7) for lead in leads if smallest <= (size := lead * 10**power) <= largest]
        if len(found) <= 7:
            break
    return found


def _round_rates(foot: float) -> list[float]:
    """The rates beside which a number stands: 100 % and down in even steps."""
    step = next((step for step in (0.01, 0.02, 0.05, 0.1, 0.2) if (1 - foot) / step <= 6), 0.25)
    return [1 - step * number for number in range(int((1 - foot) / step + 1e-9) + 1)]
