"""How recognition words the check list of a nomination and draws the seal of who has no photograph."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import template
from django.urls import NoReverseMatch, reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from core.templatetags.interface import with_sign
from kpi.models import Nomination

register = template.Library()


@register.filter
def checks(nomination: Nomination, units: dict[str, str]) -> list[dict[str, Any]]:
    """``{% for check in nomination|checks:units %}``: what was asked for and found, in words.

    ``units`` says how the values of each indicator are written (recognition_access.indicator_units).
    """
    english = (get_language() or "").startswith("en")
    found = []
    for row in nomination.checks:
        unit = units.get(row["indicator"], "")
        found.append(
            {
                "name": (english and row.get("name_en")) or row["name_zh"],
                "met": row["met"],
                "wanted": _wanted(row, unit),
                "found": None if row.get("found") is None else _value(row["found"], unit),
                "measures": [(number, _address(number)) for number in row.get("measures", [])],
            }
        )
    return found


def _wanted(row: dict, unit: str) -> str:
    least, most = row.get("at_least"), row.get("at_most")
    if least is not None and most is not None:
        return _("from %(least)s to %(most)s") % {"least": _value(least, unit), "most": _value(most, unit)}
    if least is not None:
        return _("at least %(least)s") % {"least": _value(least, unit)}
    return _("at most %(most)s") % {"most": _value(most, unit)}


def _value(text: str | None, unit: str) -> str:
    if text is None:
        return ""
    number = Decimal(text)
    shown = f"{number.quantize(Decimal('0.01')).normalize():f}"
    return with_sign(shown) if unit == "percent" else shown


def _address(measure_id: int) -> str:
    try:
        return reverse("kpi:measure", args=[measure_id])
    except NoReverseMatch:
        return ""


@register.filter
def plain(number: Decimal) -> str:
    """A number as people write it: 50, 66.67."""
    return f"{number.normalize():f}"


@register.filter
def seal_letter(name: str, person: object = True) -> str:
    """What is cut into the seal of somebody without a photograph: the end of a Chinese name; else, or of a group, its beginning."""
    words = str(name or "").split()
    if not words:
        return "荣"
    return words[-1][-1:] if person and not words[-1].isascii() else words[0][:1].upper()


@register.filter
def near_units(path: str) -> str:
    """The last two units of a path: where people look for somebody."""
    return " · ".join(str(path or "").split(" / ")[-2:])
