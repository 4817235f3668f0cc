"""How the score of a line runs, as the numbers of a drawing. static/kpi/scorecard-editor.js draws the same while somebody types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

WIDTH, HEIGHT, TOP, FOOT = 320, 130, 10, 110  # of the field; the score 0 stands at FOOT


@dataclass(frozen=True)
class Drawing:
    """The paths of a curve and what stands at its axes. ``line`` is empty while there is nothing to draw."""

    line: str = ""
    dots: str = ""
    hundred: str = ""  # where the score 100 lies
    left: str = ""
    right: str = ""
    top: str = ""


def drawing(*, kind: str, points: Sequence[tuple[Decimal, Decimal]], below: Decimal) -> Drawing:
    """This function will draw a curve (``kind`` curve) or steps: the score over the value, from a little before to a little after."""
    points = sorted(points)
    if not points:
        return Drawing()
    low, high = float(points[0][0]), float(points[-1][0])
    room = (high - low) * 0.12 or max(1.0, abs(high) * 0.12)
    start, end = low - room, high + room
    most = max(100.0, float(below), *(float(score) for _value, score in points))

    def x(value: float) -> str:
        return _text((value - start) / (end - start) * WIDTH)

    def y(score: float) -> str:
        return _text(FOOT - max(0.0, score) / most * (FOOT - TOP))

    path = [f"M0 {y(float(below))}H{x(low)}"]
    for place, (value, score) in enumerate(points):
        if kind == "step":
            path.append(f"V{y(float(score))}H{x(float(points[place + 1][0])) if place + 1 < len(points) else WIDTH}")
        else:
            path.append(f"{'V' + y(float(score)) if place == 0 else f'L{x(float(value))} {y(float(score))}'}")
    if kind != "step":
        path.append(f"H{WIDTH}")
    return Drawing(
        line="".join(path),
        dots="".join(f"M{x(float(value))} {y(float(score))}h0" for value, score in points),
        hundred=y(100.0),
        left=f"{points[0][0].normalize():f}",
        right=f"{points[-1][0].normalize():f}" if high > low else "",
        top=f"{Decimal(str(most)).normalize():f}",
    )


def _text(number: float) -> str:
    return f"{number:.1f}"
