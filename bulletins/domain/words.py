"""What the figures of a bulletin say in words, in the active language. Nobody is blamed: units are named, people are not."""

from __future__ import annotations

from django.utils.translation import get_language, ngettext, pgettext
from django.utils.translation import gettext as _

from bulletins.domain import statistics
from core.periods import Month
from core.templatetags.interface import count, share, tenths
from people.models import OrgUnit


def name_of(one: dict) -> str:
    """The name of a unit or course in the active language."""
    return one["en"] if (get_language() or "").startswith("en") else one["zh"]


def title(*, month: Month, unit: str = "") -> str:
    """The title of a bulletin; ``unit`` is named unless it is a root."""
    words = _("Bulletin of %(month)s") % {"month": month.label}
    return pgettext("title of a bulletin", "%(title)s: %(unit)s") % {"title": words, "unit": unit} if unit else words


def headline(figures: dict) -> str:
    """The month in one sentence: what stands at the top until somebody writes a better one."""
    total = figures["total"]
    values = {
        "done": count(total["completed"]),
        "owed": count(total["assigned"]),
        "share": share(total["completed"], total["assigned"]),
        "on_time": share(total["on_time"], total["assigned"]),
    }
    if total["on_time"] == total["assigned"]:
        return _("Everybody finished, and in time: %(done)s of %(owed)s.") % values
    if total["completed"] == total["assigned"]:
        return _("Everybody finished: %(done)s of %(owed)s, %(on_time)s in time.") % values
    return _("%(share)s finished: %(done)s of %(owed)s duties; %(on_time)s in time.") % values


def change(now: tuple[int, int], before: tuple[int, int]) -> str:
    """The difference of two shares (done, of) in percentage points, from the floored shares as they are shown."""
    first, second = tenths(*now), tenths(*before)
    if first is None or second is None:
        return ""
    by = first - second
    sign = "−" if by < 0 else "+" if by > 0 else "±"  # noqa: RUF001 - a minus sign, not a hyphen
    return f"{sign}{abs(by) // 10}.{abs(by) % 10}"


def comparison(figures: dict) -> str:
    """How the month stands beside the one closed before it."""
    before, total = figures["before"], figures["total"]
    if not before:
        return _("No earlier month of this unit is closed, so there is nothing to compare with yet.")
    values = {
        "month": Month.parse(before["month"]).label,
        "share": share(before["completed"], before["assigned"]),
        "done": count(before["completed"]),
        "owed": count(before["assigned"]),
    }
    now_tenths = tenths(total["completed"], total["assigned"]) or 0
    by = now_tenths - (tenths(before["completed"], before["assigned"]) or 0)
    values["points"] = f"{abs(by) // 10}.{abs(by) % 10}"
    if by > 0:
        return (
            _("%(month)s was closed with %(share)s (%(done)s of %(owed)s): %(points)s points more this time.") % values
        )
    if by < 0:
        return (
            _("%(month)s was closed with %(share)s (%(done)s of %(owed)s): %(points)s points fewer this time.") % values
        )
    return _("%(month)s was closed with %(share)s (%(done)s of %(owed)s): the same as this time.") % values


def verdict(figures: dict) -> list[str]:
    """What the limits say, sentence by sentence: which units differ from the whole by more than chance explains."""
    total, whole = figures["total"], name_of(figures["scope"])
    ranked = [unit for unit in figures["units"] if unit["rank"]]
    if total["completed"] == total["assigned"]:
        return [_("Every unit is at 100 %: there is no difference to explain.")]
    if not total["completed"]:
        return [_("Nobody has finished, so there is no difference between units to explain.")]
    if not ranked:
        return [
            _(
                "No unit has %(smallest)d people or more, so none is ranked or judged: in a unit that small one person moves"
                " the rate by more than three points."
            )
            % {"smallest": statistics.SMALLEST}
        ]
    values = {"whole": whole, "share": share(total["completed"], total["assigned"])}
    found = []
    for side, words in (
        ("below", _("Below %(whole)s (%(share)s) by more than chance explains: %(units)s.")),
        ("above", _("Above %(whole)s (%(share)s) by more than chance explains: %(units)s.")),
    ):
        units = [unit for unit in ranked if unit["differs"] == side]
        if units:
            names = pgettext("between the items of a list", ", ").join(
                f"{name_of(unit)} {share(unit['completed'], unit['assigned'])}" for unit in units
            )
            found.append(words % {**values, "units": names})
    alike = sum(1 for unit in ranked if not unit["differs"])
    if alike == len(ranked):
        text = ngettext(
            "The one ranked unit does not differ from %(whole)s (%(share)s) by more than chance explains.",
            "None of the %(number)d ranked units differs from %(whole)s (%(share)s) by more than chance explains: their"
            " order says little.",
            alike,
        )
        found.append(text % {**values, "number": alike})
    elif alike:
        text = ngettext(
            "The other one does not differ by more than chance explains.",
            "The other %(number)d do not differ by more than chance explains; their order among each other says little.",
            alike,
        )
        found.append(text % {"number": alike})
    return found


def method(figures: dict) -> str:
    """How that was judged, for who wants to know."""
    ranked = sum(1 for unit in figures["units"] if unit["rank"])
    text = ngettext(
        "Judged by exact binomial probabilities against the rate of the whole. Units below %(smallest)d people are left out.",
        "Judged by exact binomial probabilities against the rate of the whole, for %(number)d units at once (Benjamini and"
        " Hochberg, 5 %%): without that, about one unit in twenty would stand out by luck alone. Units below %(smallest)d"
        " people are left out.",
        ranked,
    )
    return text % {"number": ranked, "smallest": statistics.SMALLEST}


def funnel(figures: dict) -> str:
    """The sentences of the funnel plot."""
    text = _(
        "Each dot is a unit: people to the right, rate upwards. Between the lines chance alone explains the difference."
    )
    ranked = [unit for unit in figures["units"] if unit["rank"]]
    if not ranked:
        return text
    outside = ngettext(
        "%(outside)d of %(number)d ranked unit lies outside the 95 %% lines.",
        "%(outside)d of %(number)d ranked units lie outside the 95 %% lines.",
        len(ranked),
    ) % {"outside": sum(1 for unit in ranked if _is_outside(unit)), "number": len(ranked)}
    return pgettext("two sentences", "%(first)s %(second)s") % {"first": text, "second": outside}


def _is_outside(unit: dict) -> bool:
    """Does its rate, put on the scale of its people, lie beyond the 95 % limits?"""
    low, high = unit["inner"]
    return not low * unit["assigned"] <= unit["completed"] * unit["people"] <= high * unit["assigned"]


def expected(unit: dict) -> str:
    """The range in which chance alone lets a unit of this size lie, 95 times of 100: "81.2 % to 97.9 %"."""
    low, high = unit["inner"]
    return _("%(low)s to %(high)s") % {"low": share(low, unit["people"]), "high": share(high, unit["people"])}


def kind_of(figures: dict) -> str:
    """What kind of unit is compared, in words."""
    return str(OrgUnit.Kind(figures["level"]).label)
