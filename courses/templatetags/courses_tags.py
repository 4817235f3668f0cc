"""How a duty is worded."""

from urllib.parse import urlencode

from django import template
from django.utils import formats
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from courses.models import Enrolment

register = template.Library()


@register.filter
def state_chip(enrolment: Enrolment, at) -> dict[str, str]:
    """``{% with state=enrolment|state_chip:at %}``: the kind and the words of the chip that says how a duty stands."""
    state = Enrolment.State
    if enrolment.voluntary:
        return _chip_by_choice(enrolment)
    if enrolment.state == state.COMPLETED:
        if enrolment.on_time:
            return {"kind": "done", "label": _("Done in time")}
        return {"kind": "late", "label": _("Done late")}
    if enrolment.state == state.EXEMPT:
        return {"kind": "exempt", "label": _("Exempt")}
    if enrolment.state == state.WITHDRAWN:
        return {"kind": "exempt", "label": _("Withdrawn")}
    if enrolment.is_overdue(at):
        return {"kind": "overdue", "label": _("Overdue")}
    if enrolment.state == state.IN_PROGRESS:
        return {"kind": "progress", "label": pgettext("learning", "In progress")}
    return {"kind": "assigned", "label": _("Assigned")}


def _chip_by_choice(enrolment: Enrolment) -> dict[str, str]:
    """What was taken by choice is never late."""
    state = Enrolment.State
    return {
        state.COMPLETED: {"kind": "done", "label": _("Done by choice")},
        state.IN_PROGRESS: {"kind": "progress", "label": _("In progress by choice")},
        state.WITHDRAWN: {"kind": "exempt", "label": _("Given up")},
    }.get(enrolment.state, {"kind": "assigned", "label": _("Taken by choice")})


@register.filter
def and_state(query: str, state: str) -> str:
    """``{{ query|and_state:'missing' }}``: the filter of the page with a state added."""
    return f"{query}{'&' if '?' in query else '?'}state={state}"


@register.filter
def as_query(parameters: dict, after: int | None = None) -> str:
    """``{{ parameters|as_query:page.next }}``: the filters of a list, and the row after which the next page starts."""
    values = {**parameters, **({"after": after} if after else {})}
    return f"?{urlencode(values)}" if values else ""


@register.filter
def begun(figures) -> int:
    """How many have begun and are not done."""
    return figures.started - figures.completed


@register.filter
def month_names(months, between: str) -> str:
    """``{{ months|month_names:comma }}``: the names of months of a year that is known, with something between."""
    return between.join(month_name(month) for month in months)


@register.filter
def month_name(month) -> str:
    """A month where the year is known: November, 11月."""
    return formats.date_format(month.first_day, pgettext("format of a month without its year", "F"))


@register.filter
def short_month(month) -> str:
    """A month where there is little room: Nov, 11月."""
    return formats.date_format(month.first_day, pgettext("format of a month in little room", "M"))
