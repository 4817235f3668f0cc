"""Tags and filters that every template may use: shares, dates, icons, the numbers behind a drawing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from django import template
from django.templatetags.static import static
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import get_language

from core.money import format_yuan
from core.periods import Month
from core.site import site_name

register = template.Library()

NOTHING = "–"
# A number and its unit stay on one line.
NO_BREAK = "\u00a0"


def tenths(done, total) -> int | None:
    """This function will return a share in tenths of a percent, floored; None when there is nothing to share.

    Whole numbers only: a share of 2,999 of 3,000 is 99.9 % and never 100.
    """
    done, total = int(done or 0), int(total or 0)
    if total <= 0:
        return None
    return max(0, min(1000, done * 1000 // total))


@register.filter
def share(done, total) -> str:
    """``{{ done|share:total }}``: "98.2%", in English "98.2 %". Floored, so 100 % means all; a dash for 0 of 0."""
    value = tenths(done, total)
    if value is None:
        return NOTHING
    whole = value == 1000 or not done
    text = str(value // 10) if whole else f"{value // 10}.{value % 10}"
    return with_sign(text)


def with_sign(number: str) -> str:
    """A number with its percent sign: Chinese writes it close, our English apart."""
    return f"{number}{NO_BREAK}%" if (get_language() or "").startswith("en") else f"{number}%"


@register.filter
def percent_words(percent) -> str:
    """A percentage as stored (92.50) as people write it: "92.5%", in English "92.5 %"; a dash for none."""
    return NOTHING if percent is None else with_sign(f"{percent.normalize():f}")


@register.filter
def share_length(done, total) -> str:
    """The same share as a bare number from 0 to 100, for the length of a bar or an arc."""
    value = tenths(done, total) or 0
    return f"{value // 10}.{value % 10}"


@register.filter
def missing(done, total) -> int:
    """How many are left of the total."""
    return max(0, int(total or 0) - int(done or 0))


@register.filter
def day(value) -> str:
    """A date (or the local day of a time) in the active language: 22 November 2026, 2026年11月22日."""
    if not value:
        return NOTHING
    return formats.date_format(_local(value), "DATE_FORMAT")


@register.filter
def short_day(value) -> str:
    """Day and month, where the year is clear: 22 November, 11月22日."""
    if not value:
        return NOTHING
    return formats.date_format(_local(value), "MONTH_DAY_FORMAT")


@register.filter
def moment(value) -> str:
    """Date and time of day in the local zone: 22 November 2026, 14:05."""
    if not value:
        return NOTHING
    return formats.date_format(_local(value), "DATETIME_FORMAT")


@register.filter
def iso(value) -> str:
    """For the ``datetime`` attribute of <time>."""
    return _local(value).isoformat() if value else ""


def _local(value: dt.date | dt.datetime) -> dt.date | dt.datetime:
    if isinstance(value, dt.datetime) and timezone.is_aware(value):
        return timezone.localtime(value)
    return value


@register.filter
def month_label(value) -> str:
    """A month as people write it: November 2026, 2026年11月. Takes a Month, a date or "2026-11"."""
    if not value:
        return NOTHING
    if isinstance(value, str):
        value = Month.parse(value)
    if not isinstance(value, Month):
        value = Month.of(_local(value))
    return value.label


@register.filter
def count(value) -> str:
    """A whole number with its thousands apart: 300,000."""
    return NOTHING if value is None else f"{int(value):,}"


@register.filter
def yuan(fen) -> str:
    """Whole fen as yuan: 28,117.00; a dash for none."""
    return NOTHING if fen is None else format_yuan(int(fen))


@register.filter
def yuan_change(fen) -> str:
    """A difference of money with its sign: +1,003.81."""
    return NOTHING if fen is None else format_yuan(int(fen), signed=True)


@register.filter
def initials(name) -> str:
    """What stands in the round of a person: the end of a Chinese name, the first letters of a Latin one."""
    words = str(name or "").split()
    if not words:
        return "?"
    if words[-1].isascii():
        return (words[0][:1] + (words[-1][:1] if len(words) > 1 else "")).upper()
    return words[-1][-2:]


@register.filter
def file_size(value) -> str:
    """Bytes as people say them: 640 B, 12 KB, 3.4 MB."""
    size = int(value or 0)
    if size < 1024:
        return f"{size}{NO_BREAK}B"
    if size < 1024 * 1024:
        return f"{size // 1024}{NO_BREAK}KB"
    return f"{size * 10 // (1024 * 1024) / 10}{NO_BREAK}MB"


@register.simple_tag(name="site_name")
def name_of_the_site() -> str:
    """``{% site_name %}``: what the house calls this site."""
    return site_name()


@register.simple_tag
def icon(name: str, css: str = "") -> str:
    """A drawing of the sprite static/img/icons.svg. It says nothing by itself: words stand beside it."""
    return format_html(
        '<svg class="{}" aria-hidden="true" focusable="false" width="20" height="20"><use href="{}#{}"></use></svg>',
        f"icon {css}".rstrip(),
        static("img/icons.svg"),
        name,
    )


@register.filter
def undo_url(tags) -> str:
    """The address in the extra tags of a message: ``messages.success(request, text, extra_tags="undo:/path/")``."""
    for tag in str(tags or "").split():
        address = tag.removeprefix("undo:")
        if address != tag and url_has_allowed_host_and_scheme(address, allowed_hosts=None) and address.startswith("/"):
            return address
    return ""


# --- numbers behind a drawing ---------------------------------------------------------------------------------------
def _line(values: Iterable) -> list[tuple[str, str] | None]:
    """Places on a field 100 wide and 30 high: 100 at the top, the ten below the least value at the foot."""
    numbers = [None if value is None else float(value) for value in values or []]
    known = [number for number in numbers if number is not None]
    if not known:
        return []
    top = max(100.0, *known)
    foot = min(min(known) // 10 * 10, top - 10)
    step = 100 / max(1, len(numbers) - 1)
    return [
        None if number is None else (f"{place * step:.1f}", f"{30 - (number - foot) / (top - foot) * 30:.1f}")
        for place, number in enumerate(numbers)
    ]


@register.filter
def polylines(values) -> list[str]:
    """The points of a line through the values, in runs: None is a gap."""
    runs: list[list[str]] = [[]]
    for point in _line(values):
        if point is None:
            runs.append([])
        else:
            runs[-1].append(",".join(point))
    return [" ".join(run) for run in runs if run]


@register.filter
def last_point(values) -> dict[str, str] | None:
    """The place of the last known value on the same line."""
    known = [point for point in _line(values) if point is not None]
    return {"x": known[-1][0], "y": known[-1][1]} if known else None


@register.filter("columns")
def chart_columns(rows) -> list[dict]:
    """Bars of a chart from rows with ``label``, ``done`` and ``total``: x, y, width and height on a field 100 high."""
    rows = list(rows or [])
    found = []
    for place, row in enumerate(rows):
        height = (tenths(row["done"], row["total"]) or 0) / 10
        found.append(
            {
                "label": row["label"],
                "done": row["done"],
                "total": row["total"],
                "x": place * 40 + 8,
                "middle": place * 40 + 20,
                "height": f"{height:.1f}",
                "y": f"{100 - height:.1f}",
            }
        )
    return found


@register.filter
def chart_width(bars) -> int:
    """The width of the field that ``columns`` fills."""
    return max(1, int(bars)) * 40


@register.filter
def beside(values, columns) -> list[dict]:
    """Each value of a row with its column."""
    return [{"value": value, "column": column} for value, column in zip(values, columns, strict=True)]
